"""Which version of a model answers: by name, by share, or the newest. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Generic, TypeVar

from secondlook.shared.errors import NotFound

T = TypeVar("T")

GOLDEN = 0.6180339887498949
"""Multiples of it, modulo 1, fill [0, 1) evenly from the first one on (Weyl's sequence)."""


def by_age(version: str) -> tuple[bool, int, str]:
    """Sorts versions from old to new: names that are no numbers before numbers."""
    number = version.isdecimal()
    return number, int(version) if number else 0, version


class Routes(Generic[T]):
    """The versions of one model that are served now; replaced as a whole, never changed.

    Requests that name no version are divided by share. Who has a key (a camera) stays on one
    version for as long as the shares stand, and when the newest version's share grows nobody
    leaves it again: the newest has the upper end of the unit interval on which keys lie.

    Args:
        model: its name; part of the hash, so that canaries of two models hit different cameras.
        versions: what serves each version, at least one.
        shares: version to its part of the requests, in any unit; versions that are not served
            are passed over, and where none is left the newest gets all.
    """

    def __init__(self, model: str, versions: Mapping[str, T], shares: Mapping[str, float]) -> None:
        self.model = model
        self.versions = {name: versions[name] for name in sorted(versions, key=by_age)}
        self.newest = next(reversed(self.versions.values()))
        weights = {name: shares[name] for name in self.versions if shares.get(name, 0.0) > 0.0} or {
            next(reversed(self.versions)): 1.0
        }
        total, reached = sum(weights.values()), 0.0
        self._bounds: list[tuple[float, T]] = []
        for name, weight in weights.items():
            reached += weight
            self._bounds.append((reached / total, self.versions[name]))
        self.main = self.versions[max(weights, key=lambda name: (weights[name], by_age(name)))]
        """What most requests get."""
        self._unkeyed = 0

    def named(self, version: str) -> T:
        """The version of that name.

        Raises:
            NotFound: it is not served.
        """
        found = self.versions.get(version)
        if found is None:
            raise NotFound(
                f"{self.model!r} has no version {version[:64]!r}; "
                f"served are {', '.join(self.versions)}"
            )
        return found

    def of(self, key: str) -> T:
        """The version for a request that names none.

        Args:
            key: what stays together, such as a camera; empty takes each version in turn.
        """
        if len(self._bounds) == 1:
            return self._bounds[0][1]
        if key:
            digest = blake2b(f"{self.model}\0{key}".encode(), digest_size=8).digest()
            place = int.from_bytes(digest, "big") / 2**64
        else:
            self._unkeyed += 1
            place = self._unkeyed * GOLDEN % 1.0
        return next((value for bound, value in self._bounds if place < bound), self.newest)
