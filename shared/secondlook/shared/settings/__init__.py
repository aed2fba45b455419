"""Settings: TOML and environment, parsed once into frozen, checked objects."""

from secondlook.shared.settings.loading import Layers, load, read_layers
from secondlook.shared.settings.section import Section

__all__ = ["Layers", "Section", "load", "read_layers"]
