"""The gRPC channel: options, certificates, and whether it is worth asking now."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import grpc
import grpc.aio

from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.errors import InvalidConfig

PING_TIMEOUT_MS = 10_000
"""A connection on which a ping is not answered in this time is dead."""


class UplinkState(str, Enum):
    """Whether the cloud can be reached."""

    OFF = "off"
    """Not configured."""

    CONNECTING = "connecting"
    """The first attempt since the start or since the connection was lost."""

    READY = "ready"
    DOWN = "down"
    """Attempts have failed; more are made, with pauses."""


def channel_credentials(settings: UplinkSettings) -> grpc.ChannelCredentials | None:
    """The certificates of the settings; ``None`` without TLS. Reads files: not on the event loop.

    Raises:
        InvalidConfig: a certificate cannot be read.
    """
    tls = settings.tls
    if not tls.enabled:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read(tls.ca, "uplink.tls.ca"),
        private_key=_read(tls.key, "uplink.tls.key"),
        certificate_chain=_read(tls.cert, "uplink.tls.cert"),
    )


def open_channel(
    settings: UplinkSettings,
    credentials: grpc.ChannelCredentials | None,
    *,
    own_connection: bool = False,
) -> grpc.aio.Channel:
    """A channel to the service; nothing is sent yet.

    Args:
        settings: where and how.
        credentials: what `channel_credentials` gave.
        own_connection: share no connection with other channels to the same place.
    """
    options: list[tuple[str, int | str]] = [
        # Retries are ours, with a budget; gRPC's own would come on top of it.
        ("grpc.enable_retries", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", round(settings.reconnect_max_s * 1000)),
        ("grpc.keepalive_time_ms", round(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", PING_TIMEOUT_MS),
        # Without it a ping is waited for a minute, whatever the keepalive's timeout says.
        ("grpc.http2.ping_timeout_ms", PING_TIMEOUT_MS),
    ]
    if own_connection:
        options.append(("grpc.use_local_subchannel_pool", 1))
    if credentials is None:
        return grpc.aio.insecure_channel(settings.address, options=options)
    if settings.tls.server_name:
        options.append(("grpc.ssl_target_name_override", settings.tls.server_name))
    return grpc.aio.secure_channel(settings.address, credentials, options=options)


def next_state(before: UplinkState, channel: grpc.ChannelConnectivity) -> UplinkState:
    """What the channel's state means. After a failure, connecting again is still ``DOWN``."""
    if channel is grpc.ChannelConnectivity.READY:
        return UplinkState.READY
    if channel in (
        grpc.ChannelConnectivity.TRANSIENT_FAILURE,
        grpc.ChannelConnectivity.SHUTDOWN,
    ):
        return UplinkState.DOWN
    return before if before is UplinkState.DOWN else UplinkState.CONNECTING


def _read(path: Path | None, field: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidConfig(f"{field}: {path} cannot be read: {error.strerror}") from None
