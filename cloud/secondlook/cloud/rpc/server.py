"""The gRPC server: where it listens, with which certificates, within which limits."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread
import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from secondlook.cloud.address import why_not
from secondlook.cloud.rpc.escalation import EscalationServicer
from secondlook.cloud.rpc.health import HealthServicer
from secondlook.cloud.rpc.inference import InferenceServicer
from secondlook.cloud.rpc.memory import ContextMemoryServicer
from secondlook.cloud.rpc.strict import StrictServer
from secondlook.cloud.server_settings import ServerSettings, TlsSettings
from secondlook.oip import inference_pb2, inference_pb2_grpc
from secondlook.rpc.v1 import (
    context_memory_pb2,
    context_memory_pb2_grpc,
    escalation_pb2,
    escalation_pb2_grpc,
)
from secondlook.shared.errors import InvalidConfig

SERVICES = (
    escalation_pb2.DESCRIPTOR.services_by_name["Escalation"].full_name,
    context_memory_pb2.DESCRIPTOR.services_by_name["ContextMemory"].full_name,
    inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name,
)


def register(
    server: grpc.aio.Server,
    escalation: EscalationServicer,
    memory: ContextMemoryServicer,
    health: HealthServicer,
    inference: InferenceServicer | None = None,
) -> None:
    """Add every service to the server."""
    # The generated functions ask for a server; they use these two of its methods only.
    strict = cast("grpc.aio.Server", StrictServer(server))
    # gRPC asks one service after the other for a method: the one with the smallest calls first.
    if inference is not None:
        inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(inference, strict)
    escalation_pb2_grpc.add_EscalationServicer_to_server(escalation, strict)
    context_memory_pb2_grpc.add_ContextMemoryServicer_to_server(memory, strict)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    reflection.enable_server_reflection(
        (
            *SERVICES,
            health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
            reflection.SERVICE_NAME,
        ),
        server,
    )


@asynccontextmanager
async def listening(
    settings: ServerSettings, register_on: Callable[[grpc.aio.Server], None]
) -> AsyncIterator[int]:
    """Serve while the block runs; yields the port.

    On leaving, new calls are refused and open ones get ``drain_timeout_s`` to end.

    Raises:
        Unavailable: the port is in use.
        InvalidConfig: the address or a certificate cannot be used.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=settings.max_streams,
        options=[
            ("grpc.max_receive_message_length", settings.max_message_bytes),
            # What is sent is bounded where it is made; a bound here would break an answer.
            ("grpc.max_send_message_length", -1),
            # Two services on one port would each get half of the calls: refuse the second, unless
            # that is what is wanted.
            ("grpc.so_reuseport", int(settings.shared)),
            ("grpc.max_metadata_size", 16 * 1024),
            # Edges behind NATs ping an idle connection; do not take that for an attack.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
        ],
    )
    register_on(server)
    port = await _bind(server, settings)
    await server.start()
    try:
        yield port
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(settings.drain_timeout_s)


async def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    address = f"{_bracketed(settings.host)}:{settings.port}"
    try:
        if settings.tls.enabled:
            credentials = await anyio.to_thread.run_sync(_credentials, settings.tls)
            port = server.add_secure_port(address, credentials)
        else:
            port = server.add_insecure_port(address)
    except RuntimeError:
        raise await anyio.to_thread.run_sync(why_not, settings.host, settings.port) from None
    return port


def _credentials(tls: TlsSettings) -> grpc.ServerCredentials:
    assert tls.cert is not None
    assert tls.key is not None
    key, cert = _read(tls.key), _read(tls.cert)
    client_ca = None if tls.client_ca is None else _read(tls.client_ca)
    # gRPC takes anything for a certificate and fails later without a reason; OpenSSL tells.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except ssl.SSLError as error:
        raise InvalidConfig(
            f"server.tls: {tls.cert} and {tls.key} are no certificate and its key: {error.reason}"
        ) from None
    if tls.client_ca is not None:
        try:
            context.load_verify_locations(tls.client_ca)
        except ssl.SSLError as error:
            raise InvalidConfig(
                f"server.tls: {tls.client_ca} holds no certificate: {error.reason}"
            ) from None
    return grpc.ssl_server_credentials(
        [(key, cert)], root_certificates=client_ca, require_client_auth=client_ca is not None
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfig(f"server.tls: {path} cannot be read: {error.strerror}") from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
