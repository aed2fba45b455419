"""One look at one thing."""

from __future__ import annotations

from typing import Protocol

from secondlook.cli.doctor.chain import Report


class Visit(Protocol):
    """One look at one thing; its checks stop at the first failure."""

    async def walk(self, report: Report) -> bool:
        """Check in order; returns whether none failed."""
        ...
