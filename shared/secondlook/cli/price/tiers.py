"""The cloud that answers the comparison: the real service on loopback, in this process.

It shares the process so that the heavy model is in memory once, for the reference, for the
baselines and for Secondlook; the bytes go over real sockets all the same, through counting proxies.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from secondlook.cli.price.heavy import Heavy
from secondlook.cloud.cache import CacheSettings
from secondlook.cloud.engine.local_static import Loaded
from secondlook.cloud.server_settings import ServerSettings
from secondlook.cloud.service import running_cloud
from secondlook.cloud.serving_settings import ModelSettings
from secondlook.cloud.settings import (
    BackgroundSettings,
    CloudSettings,
    MemorySettings,
    MetricsSettings,
)
from secondlook.shared.detect import Detector
from secondlook.shared.measure import CountingProxy
from secondlook.shared.values.frame import MAX_PIXELS

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Native frames of any camera fit; what passes here comes from this very process."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """The service.

    Attributes:
        port: its gRPC port on loopback.
        heavy: its model, for questions that do not travel.
    """

    port: int
    heavy: Heavy


@asynccontextmanager
async def comparison_cloud(heavy: Detector) -> AsyncIterator[Cloud]:
    """The cloud service with ``heavy``, which is closed at the end."""
    settings = CloudSettings(
        server=ServerSettings(
            port=0,
            default_deadline_s=600.0,
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_image_pixels=MAX_PIXELS,
        ),
        models=(ModelSettings(name="heavy", path=heavy.info.name),),
        # What is compared is what the model sees, not what was seen before.
        cache=CacheSettings(enabled=False),
        memory=MemorySettings(url="sqlite:///:memory:"),
        metrics=MetricsSettings(enabled=False),
        # The clip may be played far slower than real time: its own settings say when a picture
        # is too old, not the clock of this machine.
        background=BackgroundSettings(max_cameras=4096, max_age_s=1e7),
    )

    def load(_: Sequence[ModelSettings]) -> list[Loaded]:
        return [Loaded(heavy)]

    async with running_cloud(settings, load=load) as running:
        yield Cloud(running.port, Heavy(running.engine))


@asynccontextmanager
async def counted_channel(port: int) -> AsyncIterator[tuple[CountingProxy, grpc.aio.Channel]]:
    """A channel to a loopback port whose bytes are counted."""
    async with CountingProxy("127.0.0.1", port).running() as proxy:
        options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(proxy.target, options=options) as channel:
            yield proxy, channel
