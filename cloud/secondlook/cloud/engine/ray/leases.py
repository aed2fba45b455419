"""Who needs which application, and until when: nobody has to say goodbye."""

from __future__ import annotations

from collections import defaultdict


class Leases:
    """Of all applications. Times are seconds on the caller's clock."""

    def __init__(self) -> None:
        self._ends: defaultdict[str, dict[str, float]] = defaultdict(dict)

    def hold(self, application: str, holder: str, until_s: float) -> None:
        """It is needed by ``holder`` until then. Replaces what was said before."""
        self._ends[application][holder] = until_s

    def release(self, application: str, holder: str) -> None:
        """It is needed by ``holder`` no more. Safe to repeat."""
        self._ends[application].pop(holder, None)
        if not self._ends[application]:
            del self._ends[application]

    def holds(self, application: str, holder: str) -> bool:
        """Whether ``holder`` needs it."""
        return holder in self._ends.get(application, ())

    def held(self, application: str) -> bool:
        """Whether anybody needs it."""
        return application in self._ends

    def lapse(self, now_s: float) -> list[str]:
        """End what has run out; returns the applications of which something has."""
        over = [
            (application, holder)
            for application, ends in self._ends.items()
            for holder, until_s in ends.items()
            if until_s <= now_s
        ]
        for application, holder in over:
            self.release(application, holder)
        return list(dict.fromkeys(application for application, _ in over))

    def next_end_s(self) -> float | None:
        """When the next one runs out; ``None``: nothing is held."""
        return min((end for ends in self._ends.values() for end in ends.values()), default=None)
