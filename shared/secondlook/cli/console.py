"""Where commands print: as wide as the terminal, or wide enough for whole lines in a pipe."""

from __future__ import annotations

from rich.console import Console

PIPE_COLUMNS = 200


def output_console() -> Console:
    """A console on standard output."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPE_COLUMNS)
