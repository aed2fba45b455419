"""From a ``grpc://`` or ``grpcs://`` URL to a gRPC channel."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import anyio.to_thread
import grpc
import grpc.aio

from secondlook.shared.errors import InvalidConfig
from secondlook.shared.memory.redis_url import without_password

DEFAULT_PORT = 50051
MAX_RECEIVE_BYTES = 32 * 1024 * 1024
"""Far above what the service sends at once; a bound all the same."""
_PLAIN, _TLS = "grpc", "grpcs"
_FIELDS = {_PLAIN: {"allow_plaintext"}, _TLS: {"ca", "cert", "key", "server_name"}}


@dataclass(frozen=True, slots=True)
class RemoteAddress:
    """Where a service is, and how to speak to it.

    Attributes:
        target: ``host:port``.
        tls: whether the connection is encrypted.
        ca: authority that signs the service's certificate; ``None``: the system's.
        cert: certificate chain of this side, a PEM file.
        key: its private key, a PEM file.
        server_name: name in the service's certificate, where it is not the host.
    """

    target: str
    tls: bool
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""

    @classmethod
    def of(cls, url: str) -> RemoteAddress:
        """Read ``grpc://HOST:PORT`` or ``grpcs://HOST:PORT?ca=..&cert=..&key=..&server_name=..``.

        Raises:
            InvalidConfig: malformed, an unknown field, half a pair of certificate and key, or
                plaintext to an address that is not loopback without ``?allow_plaintext=1``.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _malformed(url, str(error)) from None
        if parts.scheme not in _FIELDS or not host or parts.path not in ("", "/"):
            raise _malformed(url, "a host, and nothing behind it but ?fields, is expected")
        if "@" in parts.netloc or parts.fragment:
            raise _malformed(url, "no user, password or fragment is expected")
        fields = _fields(url, parts.scheme, parts.query)
        target = f"[{host}]" if ":" in host else host
        target += f":{DEFAULT_PORT if port is None else port}"
        if parts.scheme == _PLAIN:
            if not (is_loopback(host) or fields.get("allow_plaintext") == "1"):
                raise InvalidConfig(
                    f"context memory: {host} is not loopback, and grpc:// is plaintext",
                    remedy="use grpcs://, or add ?allow_plaintext=1",
                )
            return cls(target, tls=False)
        files = {
            name: Path(fields[name]).expanduser()
            for name in ("ca", "cert", "key")
            if name in fields
        }
        if ("cert" in files) != ("key" in files):
            raise _malformed(url, "cert and key belong together; give both or neither")
        return cls(target, tls=True, server_name=fields.get("server_name", ""), **files)

    async def connect(self) -> grpc.aio.Channel:
        """A channel; nothing is sent yet.

        Raises:
            InvalidConfig: a certificate cannot be read.
        """
        options: list[tuple[str, int | str]] = [
            # A write that failed may have happened: nothing below us may send it again.
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 5_000),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]
        if not self.tls:
            return grpc.aio.insecure_channel(self.target, options=options)
        if self.server_name:
            options.append(("grpc.ssl_target_name_override", self.server_name))
        ca, cert, key = await anyio.to_thread.run_sync(
            lambda: [
                None if path is None else _read(path) for path in (self.ca, self.cert, self.key)
            ]
        )
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
        return grpc.aio.secure_channel(self.target, credentials, options=options)


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine hears what is sent to ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _fields(url: str, scheme: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise _malformed(url, str(error)) from None
    fields = dict(pairs)
    unknown = sorted(set(fields) - _FIELDS[scheme])
    if unknown:
        known = ", ".join(sorted(_FIELDS[scheme]))
        raise _malformed(url, f"{unknown[0]} is unknown to {scheme}://, which has {known}")
    if len(fields) < len(pairs) or not all(fields.values()):
        raise _malformed(url, "a field is empty or given twice")
    return fields


def _malformed(url: str, why: str) -> InvalidConfig:
    return InvalidConfig(
        f"context memory {without_password(url)!r}: {why}",
        remedy="grpc://HOST:PORT, or grpcs://HOST:PORT?ca=FILE&cert=FILE&key=FILE",
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfig(f"context memory: {path} cannot be read: {error.strerror}") from None
