"""The engine: what runs the heavy models, and what can be changed about them while it does."""

from __future__ import annotations

from typing import Protocol

from secondlook.cloud.engine.catalogue import Catalogue
from secondlook.cloud.engine.serving import Serving


class Engine(Serving, Catalogue, Protocol):
    """Answers (`Serving`), and says and changes what it has (`Catalogue`).

    ``local``, ``ray`` and ``remote`` are such engines; one conformance suite holds them to it.
    """
