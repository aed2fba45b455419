"""``secondlook config``: show, check and describe the settings of a tier."""

from secondlook.cli.config.command import config
from secondlook.cli.config.effective import Entry, entries, nested
from secondlook.cli.config.redaction import redact

__all__ = ["Entry", "config", "entries", "nested", "redact"]
