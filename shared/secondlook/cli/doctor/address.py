"""The address of the cloud, as gRPC writes it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from secondlook.shared.errors import InvalidInput

_PORT = re.compile(r"\d{1,5}")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, or the path of a Unix socket.

    Attributes:
        host: name or IP address, without brackets; empty for a Unix socket.
        port: TCP port; 0 for a Unix socket.
        path: path of the Unix socket; empty for TCP.
    """

    host: str
    port: int
    path: str = ""

    @property
    def target(self) -> str:
        """What gRPC is given."""
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def literal(self) -> bool:
        """Whether the host is an IP address, so that there is no name to resolve."""
        try:
            ipaddress.ip_address(self.host.partition("%")[0])
        except ValueError:
            return False
        return True

    @property
    def loopback(self) -> bool:
        """Whether it stays on this machine."""
        if self.path or self.host == "localhost":
            return True
        return self.literal and ipaddress.ip_address(self.host.partition("%")[0]).is_loopback


def parse_address(text: str) -> Address:
    """``HOST:PORT``, ``dns:///HOST:PORT``, ``[IPv6]:PORT`` or ``unix:PATH``.

    Raises:
        InvalidInput: says what is missing.
    """
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise InvalidInput(f"address {text!r} has no path")
        return Address("", 0, path)
    if "://" in text and not text.startswith("dns:"):
        scheme = text.partition("://")[0]
        raise InvalidInput(
            f"address {text!r} starts with {scheme}://", remedy="gRPC wants HOST:PORT, no URL"
        )
    rest = re.sub(r"^dns:(//[^/]*/)?", "", text)
    host, colon, port = rest.rpartition(":")
    if not colon or (":" in host and not host.startswith("[")):
        raise InvalidInput(f"address {text!r} has no port", remedy="write HOST:PORT")
    host = host.removeprefix("[").removesuffix("]")
    if not host:
        raise InvalidInput(f"address {text!r} has no host", remedy="write HOST:PORT")
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise InvalidInput(f"address {text!r} has port {port!r}; 1 to 65535 expected")
    return Address(host, int(port))
