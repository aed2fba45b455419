"""The names of the keys of a namespace. What each holds: see `.scripts`."""

from __future__ import annotations

from secondlook.shared.errors import InvalidConfig


class Keys:
    """The keys of a namespace; all share the hash tag ``{namespace}``.

    Raises:
        InvalidConfig: no hash tag can be made of the namespace.
    """

    def __init__(self, namespace: str) -> None:
        if not namespace.isprintable() or not namespace or set("{}") & set(namespace):
            raise InvalidConfig(
                f"namespace {namespace!r}: printable characters expected, at least one, no brace"
            )
        self._prefix = f"{{{namespace}}}"
        self.sequence = f"{self._prefix}:sequence"
        self.sites = f"{self._prefix}:sites"
        self.graves = f"{self._prefix}:graves"
        self.floors = f"{self._prefix}:floors"
        self.server = f"{self._prefix}:server"

    def records(self, site: str) -> str:
        """Rest of the id -> the record as text."""
        return f"{self._prefix}:records:{site}"

    def order(self, site: str) -> str:
        """Rest of the id -> newest change."""
        return f"{self._prefix}:order:{site}"
