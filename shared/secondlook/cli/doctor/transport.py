"""The lower hops to a server: name, TCP, TLS, HTTP/2, each with what its failures mean.

gRPC tells all of these failures as UNAVAILABLE. Here each hop is walked by itself, with the plain
sockets below gRPC, so that the one that fails can be named.
"""

from __future__ import annotations

import errno
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio.to_thread
from typing_extensions import TypeVarTuple, Unpack

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.result import CheckResult, fail, ok, warn
from secondlook.cli.main import EXIT_USAGE

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_EMPTY_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_FRAME_HEADER_BYTES = 9
_FRAME_SETTINGS = 4
_TLS_ALERT = 0x15
_TLS_HANDSHAKE = 0x16

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass(frozen=True, slots=True)
class Tls:
    """How the connection is secured.

    Attributes:
        ca: certificates that may sign the server's; ``None``: those of the system.
        certificate: our certificate, for a server that asks for one; ``None``: none.
        key: its private key.
        server_name: the name the server's certificate must carry; empty: the host's.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""


async def check_name(name: str, address: Address) -> CheckResult:
    """Resolve the host."""
    if address.path:
        return ok(name, f"a Unix socket, {address.path}")
    if address.literal:
        return ok(name, f"{address.host} is an address, nothing to resolve")
    try:
        found = await _in_thread(_resolve, address)
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
        connection = await _in_thread(_connect, address, timeout_s)
    except OSError as error:
        return _tcp_failure(name, address, error, timeout_s)
    connection.close()
    return ok(name, f"{address.target} accepts, {(time.monotonic() - started) * 1e3:.1f} ms")


async def check_tls(name: str, address: Address, tls: Tls | None, timeout_s: float) -> CheckResult:
    """Shake hands, and see whose certificate it is."""
    if tls is None:
        if address.loopback:
            return ok(name, "not used, and not needed on this machine's own loopback")
        return warn(
            name,
            "not used: pictures travel in the clear",
            "give the cloud a certificate and set the uplink to TLS",
        )
    try:
        context = tls_context(tls)
    except (OSError, ssl.SSLError) as error:
        which = ", ".join(str(p) for p in (tls.ca, tls.certificate, tls.key) if p)
        return fail(
            name,
            f"the certificate files ({which}) cannot be used: {error}",
            "check the paths and that they are PEM files that belong together",
            EXIT_USAGE,
        )
    try:
        return await _in_thread(_handshake, name, address, tls, context, timeout_s)
    except ssl.SSLError as error:
        return _tls_failure(name, address, error)
    except TimeoutError:
        return fail(
            name,
            f"no handshake within {timeout_s:g} s: it accepts connections and says nothing",
            "see whether the cloud service hangs, or a proxy in between does",
        )
    except OSError as error:
        return fail(
            name,
            f"the server cut the handshake: {error.strerror or error}",
            "see whether the port speaks TLS at all",
        )


async def check_http2(
    name: str, address: Address, tls: Tls | None, timeout_s: float
) -> CheckResult:
    """Send HTTP/2's first words and see whether a server of HTTP/2 answers."""
    try:
        head = await _in_thread(_first_frame, address, tls, timeout_s)
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


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The context of a client that speaks HTTP/2.

    Raises:
        OSError: a file is missing, or is no PEM file (`ssl.SSLError`).
    """
    context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
    context.set_alpn_protocols(["h2"])
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


async def _in_thread(function: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
    # A blocking call holds its own time limit; a thread left behind by a cancelled check is a
    # daemon, so it cannot keep the command from ending.
    return await anyio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


def _resolve(address: Address) -> list[str]:
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _connect(address: Address, timeout_s: float) -> socket.socket:
    if address.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        try:
            connection.connect(address.path)
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection((address.host, address.port), timeout=timeout_s)


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


def _handshake(
    name: str, address: Address, tls: Tls, context: ssl.SSLContext, timeout_s: float
) -> CheckResult:
    server_name = tls.server_name or address.host
    with (
        _connect(address, timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secure,
    ):
        protocol, version = secure.selected_alpn_protocol(), secure.version()
        certificate = secure.getpeercert() or {}
    if protocol != "h2":
        return fail(
            name,
            f"TLS is fine ({version}), but the server does not offer HTTP/2",
            "an HTTP/1 server or proxy holds the port: let it pass gRPC (ALPN h2) through",
        )
    until = certificate.get("notAfter")
    left_s = ssl.cert_time_to_seconds(str(until)) - time.time() if until else float("inf")
    detail = f"{version}, certificate valid until {until}"
    if left_s < 14 * 86_400:
        return warn(name, detail, "the certificate ends within two weeks: renew it")
    return ok(name, detail)


def _tls_failure(name: str, address: Address, error: ssl.SSLError) -> CheckResult:
    if isinstance(error, ssl.SSLCertVerificationError):
        remedies = {
            10: "renew the server's certificate, or correct this machine's clock",
            9: "this machine's clock is probably behind: correct it",
            18: "the certificate is self-signed: name it as the CA of the uplink",
            19: "name the CA that signed it in the uplink's settings",
            20: "name the CA that signed it in the uplink's settings",
            62: "use the name in the certificate, or a certificate for this name",
            64: "use the name in the certificate, or a certificate for this address",
        }
        remedy = remedies.get(error.verify_code, "name the right CA in the uplink's settings")
        return fail(name, f"certificate refused: {error.verify_message}", remedy)
    reason = error.reason or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"):
        return fail(
            name,
            f"{address.target} does not speak TLS",
            "give the cloud service a certificate, or set the uplink to plaintext",
        )
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return fail(
            name,
            f"the server refused us: {reason}",
            "it asks for a client certificate: set the uplink's certificate and key",
        )
    return fail(name, f"handshake failed: {reason}", "see the cloud service's log")


def _first_frame(address: Address, tls: Tls | None, timeout_s: float) -> bytes:
    with _connect(address, timeout_s) as plain:
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
