"""The lower hops to a server: name, TCP, HTTP/2, each with what its failures mean.

gRPC tells all of these failures as UNAVAILABLE. Here each hop is walked by itself, with the plain
sockets below gRPC, so that the one that fails can be named.
"""

from __future__ import annotations

import errno
import socket
import time

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.result import CheckResult, fail, ok
from secondlook.cli.doctor.sockets import connect
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.doctor.tls import Tls, tls_context

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_FRAME_HEADER_BYTES = 9
_FRAME_SETTINGS = 4
_TLS_ALERT = 0x15
_TLS_HANDSHAKE = 0x16


async def check_name(name: str, address: Address) -> CheckResult:
    """Resolve the host."""
    if address.path:
        return ok(name, f"a Unix socket, {address.path}")
    if address.literal:
        return ok(name, f"{address.host} is an address, nothing to resolve")
    try:
        found = await in_thread(_resolve, address)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else "not a valid name"
        return fail(
            name,
            f"{address.host} is not known: {reason}",
            "correct the host name, or this machine's DNS settings (/etc/resolv.conf)",
        )
    return ok(name, f"{address.host} is {', '.join(found)}")


async def check_tcp(name: str, address: Address, timeout_s: float) -> CheckResult:
    """Connect."""
    started = time.monotonic()
    try:
        connection = await in_thread(connect, address, timeout_s)
    except OSError as error:
        return _tcp_failure(name, address, error, timeout_s)
    connection.close()
    return ok(name, f"{address.target} accepts, {(time.monotonic() - started) * 1e3:.1f} ms")


async def check_http2(
    name: str, address: Address, tls: Tls | None, timeout_s: float
) -> CheckResult:
    """Send HTTP/2's first words and see whether a server of HTTP/2 answers."""
    try:
        head = await in_thread(_first_frame, address, tls, timeout_s)
    except TimeoutError:
        return fail(
            name,
            f"{address.target} accepts connections and says nothing for {timeout_s:g} s",
            "something other than the cloud service holds the port, or the service hangs",
        )
    except OSError as error:
        return fail(
            name,
            f"the connection broke: {error.strerror or error}",
            "see the cloud service's log; a proxy in between may refuse HTTP/2",
        )
    return _judge_first_frame(name, address, tls, head)


def _resolve(address: Address) -> list[str]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _tcp_failure(name: str, address: Address, error: OSError, timeout_s: float) -> CheckResult:
    if isinstance(error, TimeoutError):
        return fail(
            name,
            f"{address.target} does not answer within {timeout_s:g} s",
            "a firewall drops the packets, or the host is down: try `ping` and the port's rules",
        )
    if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
        return fail(
            name,
            f"nothing listens on {address.target}",
            "start `secondlook cloud serve` there, or correct the port",
        )
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return fail(
            name,
            f"no route to {address.target}",
            "this machine is offline or lacks a route: see `ip route`",
        )
    return fail(
        name,
        f"{address.target} cannot be connected to: {error.strerror or error}",
        "check the address",
    )


def _first_frame(address: Address, tls: Tls | None, timeout_s: float) -> bytes:
    with connect(address, timeout_s) as plain:
        connection = plain
        if tls is not None:
            connection = tls_context(tls).wrap_socket(
                plain, server_hostname=tls.server_name or address.host
            )
        with connection:
            connection.sendall(_PREFACE + _EMPTY_SETTINGS)
            head = b""
            while len(head) < _FRAME_HEADER_BYTES:
                part = connection.recv(_FRAME_HEADER_BYTES - len(head))
                if not part:
                    break
                head += part
            return head


def _judge_first_frame(name: str, address: Address, tls: Tls | None, head: bytes) -> CheckResult:
    if len(head) == _FRAME_HEADER_BYTES and head[3] == _FRAME_SETTINGS:
        return ok(name, "the server speaks HTTP/2")
    if head.startswith(b"HTTP/"):
        return fail(
            name,
            f"{address.target} is a web server of HTTP/1, not a gRPC server",
            "correct the port: metrics and web views listen on others than the service",
        )
    if tls is None and head[:1] and head[0] in (_TLS_ALERT, _TLS_HANDSHAKE):
        return fail(
            name, f"{address.target} wants TLS, we speak plaintext", "set the uplink to TLS"
        )
    if not head:
        return fail(
            name,
            f"{address.target} hangs up on HTTP/2",
            "it is no gRPC server, or it wants TLS, or a client certificate",
        )
    return fail(name, f"{address.target} answers {head!r}, which is not HTTP/2", "correct the port")
