"""``secondlook train``: the demo models, from the simulated street."""

from __future__ import annotations

import click


@click.group()
def train() -> None:
    """Train the demo models (needs the train extra)."""
