import urllib.request

import anyio.to_thread
import pytest
from prometheus_client import CollectorRegistry, Counter

from secondlook.shared.errors import InvalidConfig, Unavailable
from secondlook.shared.telemetry import serve_metrics

pytestmark = pytest.mark.anyio


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
        return str(reply.read().decode())


async def test_a_registry_is_served_and_the_port_is_free_again() -> None:
    registry = CollectorRegistry()
    Counter("secondlook_test_things", "Things.", registry=registry).inc(3)
    async with serve_metrics(registry, "127.0.0.1", 0) as port:
        text = await anyio.to_thread.run_sync(read, port)
    assert "secondlook_test_things_total 3.0" in text
    async with serve_metrics(registry, "127.0.0.1", port) as again:
        assert again == port


async def test_a_port_in_use_says_so() -> None:
    registry = CollectorRegistry()
    async with serve_metrics(registry, "127.0.0.1", 0) as port:
        with pytest.raises(Unavailable, match=rf"{port} is in use"):
            async with serve_metrics(registry, "127.0.0.1", port):
                pass


async def test_an_address_that_is_not_ours_says_so() -> None:
    with pytest.raises(InvalidConfig, match="cannot listen"):
        async with serve_metrics(CollectorRegistry(), "192.0.2.1", 0):
            pass
