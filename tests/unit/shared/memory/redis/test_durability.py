from __future__ import annotations

import pytest
from structlog.testing import capture_logs
from support.redis import redis_server

from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio


async def warnings_of(*options: str, wait_replicas: int = 0) -> str:
    """What opening a store on a server with these options warns of."""
    with redis_server(*options) as server, capture_logs() as logs:
        store = await RedisStore.open(server.url, wait_replicas=wait_replicas)
        await store.close()
    return "\n".join(str(entry) for entry in logs if entry["log_level"] == "warning")


async def test_a_server_that_forgets_nothing_is_not_warned_of() -> None:
    assert await warnings_of() == ""


@pytest.mark.parametrize(
    ("options", "wait_replicas", "said"),
    [
        (("--appendonly", "no"), 0, "no append-only file"),
        (("--appendfsync", "everysec"), 0, "a killed server loses up to 2 seconds"),
        (("--appendfsync", "no"), 0, "half a minute"),
        (("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"), 0, "drops records"),
        ((), 1, "fewer replicas"),
    ],
)
async def test_what_can_be_lost_is_said_with_what_helps(
    options: tuple[str, ...], wait_replicas: int, said: str
) -> None:
    warned = await warnings_of(*options, wait_replicas=wait_replicas)
    assert said in warned
    assert "remedy" in warned


async def test_who_may_not_ask_is_not_stopped() -> None:
    with redis_server() as server:
        rules = ("on", ">x", "~*", "+@all", "-info", "-config")
        await server.ask("ACL", "SETUSER", "narrow", "reset", *rules)
        with capture_logs() as logs:
            store = await RedisStore.open(f"unix://narrow:x@{server.socket}")
            await store.save("a", {}, 0, writer="w")
            await store.close()
    assert [entry["log_level"] for entry in logs] == ["info"]
