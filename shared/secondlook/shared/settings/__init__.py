"""Settings: TOML and environment, parsed once into frozen, checked objects."""

from secondlook.shared.settings.loading import Layers, load, problems_of, read_layers
from secondlook.shared.settings.section import Section

__all__ = ["Layers", "Section", "load", "problems_of", "read_layers"]
