"""Redis, with a real one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.doctor import Results, closed_port, http1, serve_raw, serve_redis, silent

from secondlook.cli.doctor.redis_server import RedisVisit
from secondlook.cli.doctor.result import Status, exit_code

pytestmark = pytest.mark.anyio

STEPS = ["connect", "version", "durability", "scripting"]


async def visit(url: str, timeout_s: float = 10.0) -> Results:
    results = Results()
    await RedisVisit(url, timeout_s).walk(results)
    hops = ["name", "TCP"] if "127.0.0.1" in url else []
    assert list(results.shape()) == hops + STEPS
    return results


@pytest.fixture(scope="module")
def durable() -> Iterator[str]:
    with serve_redis("appendonly yes", "appendfsync always") as url:
        yield url


@pytest.fixture(scope="module")
def forgetful() -> Iterator[str]:
    with serve_redis(
        "requirepass hunter2",
        "user limited on >pw ~* +@all -eval",
        "user blind on >pw ~* +@all -info",
    ) as url:
        yield url


async def test_a_durable_redis(durable: str) -> None:
    results = await visit(durable)
    assert set(results.shape().values()) == {"ok"}
    assert "standalone" in results.of("redis: version").detail
    assert "append-only file on" in results.of("redis: durability").detail


async def test_a_redis_that_flushes_late() -> None:
    with serve_redis("appendonly yes", "appendfsync everysec") as url:
        results = await visit(url)
    assert results.of("redis: durability").status is Status.WARN
    assert "2 seconds" in results.of("redis: durability").detail
    assert "always" in results.of("redis: durability").remedy


async def test_a_cluster_and_sentinels_that_cannot_be_reached() -> None:
    host = f"localhost:{closed_port()}"
    for url in (f"redis+cluster://u:hunter2@{host}", f"redis+sentinel://u:hunter2@{host}/m"):
        results = await visit(url)
        assert results.first_failure.name == "redis: connect"
        assert "memory.url" in results.first_failure.remedy
        assert "hunter2" not in str(results)
        assert exit_code(results) == 4


async def test_a_redis_that_forgets(forgetful: str) -> None:
    results = await visit(forgetful.replace("unix://", "unix://:hunter2@"))
    assert results.of("redis: durability").status is Status.WARN
    assert "appendonly yes" in results.of("redis: durability").remedy
    assert exit_code(results) == 0
    assert "hunter2" not in str(results)


@pytest.mark.parametrize("user", ["", ":wrong@", "nobody:wrong@"])
async def test_a_wrong_password(forgetful: str, user: str) -> None:
    results = await visit(forgetful.replace("unix://", f"unix://{user}"))
    assert results.first_failure.name == "redis: connect"
    assert "password" in results.first_failure.remedy
    assert exit_code(results) == 2
    assert "wrong" not in results.first_failure.detail.partition(" refuses")[0]


async def test_a_user_that_may_not_run_scripts(forgetful: str) -> None:
    results = await visit(forgetful.replace("unix://", "unix://limited:pw@"))
    assert results.first_failure.name == "redis: scripting"
    assert "+eval" in results.first_failure.remedy


async def test_a_user_that_may_not_ask_info(forgetful: str) -> None:
    results = await visit(forgetful.replace("unix://", "unix://blind:pw@"))
    assert results.shape() == {
        "connect": "ok",
        "version": "warn",
        "durability": "warn",
        "scripting": "ok",
    }


async def test_no_redis_there() -> None:
    results = await visit(f"redis://127.0.0.1:{closed_port()}/0")
    assert results.shape() == {"name": "ok", "TCP": "fail"} | dict.fromkeys(STEPS, "skip")
    assert exit_code(results) == 4
    assert "start Redis" in results.first_failure.remedy


async def test_a_missing_socket() -> None:
    results = await visit("unix:///nowhere/redis.sock")
    assert results.shape() == {"connect": "fail"} | dict.fromkeys(STEPS[1:], "skip")
    assert exit_code(results) == 4


async def test_a_web_server_there() -> None:
    with serve_raw(http1) as address:
        results = await visit(f"redis://{address.target}")
    assert results.first_failure.name == "redis: connect"
    assert exit_code(results) == 4


async def test_a_port_that_says_nothing() -> None:
    with serve_raw(silent) as address:
        results = await visit(f"redis://{address.target}", timeout_s=0.2)
    assert results.first_failure.name == "redis: connect"
    assert exit_code(results) == 4


@pytest.mark.parametrize("url", ["redis://host:port", "http://host", "unix:///x?socket_timeout=x"])
async def test_a_url_that_is_none(url: str) -> None:
    results = await visit(url)
    assert results.first_failure.name == "redis: connect"
    assert exit_code(results) == 2
