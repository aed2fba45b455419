"""TLS: shake hands, see whose certificate it is, and say what a refusal means."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from secondlook.cli.doctor.address import Address
from secondlook.cli.doctor.result import CheckResult, fail, ok, warn
from secondlook.cli.doctor.sockets import connect
from secondlook.cli.doctor.threads import in_thread
from secondlook.cli.main import EXIT_USAGE


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
        context = await in_thread(tls_context, tls)
    except (OSError, ssl.SSLError) as error:
        which = ", ".join(str(p) for p in (tls.ca, tls.certificate, tls.key) if p)
        return fail(
            name,
            f"the certificate files ({which}) cannot be used: {error}",
            "check the paths and that they are PEM files that belong together",
            EXIT_USAGE,
        )
    try:
        return await in_thread(_handshake, name, address, tls, context, timeout_s)
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


def _handshake(
    name: str, address: Address, tls: Tls, context: ssl.SSLContext, timeout_s: float
) -> CheckResult:
    server_name = tls.server_name or address.host
    with (
        connect(address, timeout_s) as plain,
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
