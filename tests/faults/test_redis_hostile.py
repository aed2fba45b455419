"""What else may be behind a Redis URL: foreign keys, damage, users, certificates, cut lines."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import pytest
import trustme
from anyio.streams.tls import TLSListener
from support.proxy import fault_proxy
from support.redis import RedisServer, redis_server

from secondlook.shared.errors import InvalidConfig, StoreError
from secondlook.shared.measure import Direction
from secondlook.shared.memory.record import Origin, Write
from secondlook.shared.memory.redis import RedisStore

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server(tcp=True) as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer, request: pytest.FixtureRequest) -> AsyncIterator[RedisStore]:
    opened = await RedisStore.open(redis.url, namespace=own(request))
    yield opened
    await opened.close()


def own(request: pytest.FixtureRequest) -> str:
    """A namespace for one test."""
    return str(request.node.name).replace("{", "")


def key(request: pytest.FixtureRequest, name: str) -> str:
    return f"{{{own(request)}}}:{name}"


@pytest.mark.parametrize("name", ["records:site", "order:site", "sites", "sequence"])
async def test_a_key_of_another_type_is_told_and_hurts_no_other_site(
    store: RedisStore, redis: RedisServer, request: pytest.FixtureRequest, name: str
) -> None:
    await store.save("other/a", {}, 0, writer="w")
    await redis.ask("DEL", key(request, name))
    await redis.ask("RPUSH", key(request, name), "not ours")
    with pytest.raises(StoreError, match=r"WRONGTYPE|wrong kind|not an integer"):
        await store.save("site/a", {}, 0, writer="w")
    assert (await store.load("other/a")).version == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "1 2 3",
        "1 1 1 0 0\n\nw",
        "1 1 1 0 0\n\nw\n{",
        "1 1 1 0 0\n\nw\n[]",
        "x\n" * 9,
    ],
)
async def test_a_damaged_text_is_told_and_hurts_no_other_record(
    store: RedisStore, redis: RedisServer, request: pytest.FixtureRequest, text: str
) -> None:
    await store.save("site/a", {}, 0, writer="w")
    await store.save("site/b", {"n": 1}, 0, writer="w")
    await redis.ask("HSET", key(request, "records:site"), "a", text)
    with pytest.raises(StoreError, match="site/a: stored text is damaged"):
        await store.load("site/a")
    with pytest.raises(StoreError, match="site/a: stored text is damaged"):
        await store.changes("site/")
    with pytest.raises(StoreError, match="site/a: stored text is damaged"):
        await store.changes()
    outcomes = await store.apply([Write("site/a", {}, 7, "w"), Write("site/b", {"n": 2}, 1, "w")])
    assert isinstance(outcomes[0].error, StoreError)
    assert outcomes[1].record is not None
    assert (await store.load("site/b")).data == {"n": 2}


async def test_an_order_without_its_record_is_passed_over(
    store: RedisStore, redis: RedisServer, request: pytest.FixtureRequest
) -> None:
    await store.save("site/a", {}, 0, writer="w")
    kept = await store.save("site/b", {}, 0, writer="w")
    await redis.ask("HDEL", key(request, "records:site"), "a")
    for prefix in ("site/", "site", ""):
        assert (await store.changes(prefix)).records == (kept,)


async def test_a_batch_meets_a_redis_that_forgot_the_scripts(
    store: RedisStore, redis: RedisServer
) -> None:
    for version in range(3):
        await redis.ask("SCRIPT", "FLUSH")
        outcomes = await store.apply(
            [Write(f"site-{n % 5}/{n}", {"n": n}, version, "w") for n in range(100)]
        )
        versions = [outcome.record and outcome.record.version for outcome in outcomes]
        assert versions == [version + 1] * 100
    await redis.ask("SCRIPT", "FLUSH")
    outcomes = await store.apply([Write("site-0/0", {"v": v}, v, "w") for v in range(3, 50)])
    assert [outcome.record and outcome.record.version for outcome in outcomes] == [*range(4, 51)]


async def test_scripts_are_flushed_while_writers_run(store: RedisStore, redis: RedisServer) -> None:
    acknowledged = dict.fromkeys((f"site/{n}" for n in range(8)), 0)

    async def write(record_id: str) -> None:
        for version in range(60):
            record = await store.save(record_id, {"n": version}, version, writer="w")
            assert record.version == version + 1
            acknowledged[record_id] = record.version

    async def flush(*, task_status: anyio.abc.TaskStatus[None]) -> None:
        task_status.started()
        while True:
            await redis.ask("SCRIPT", "FLUSH")

    async with anyio.create_task_group() as flushing:
        await flushing.start(flush)
        async with anyio.create_task_group() as writing:
            for record_id in acknowledged:
                writing.start_soon(write, record_id)
        flushing.cancel_scope.cancel()
    for record_id, version in acknowledged.items():
        assert (await store.load(record_id)).version == version == 60


async def test_a_lost_answer_is_told_and_the_repetition_writes_nothing(redis: RedisServer) -> None:
    async with fault_proxy(redis.port) as proxy:
        store = await RedisStore.open(
            f"redis://{proxy.target}", namespace="lost-answer", timeout_s=60
        )
        await store.save("site/a", {"n": 0}, 0, writer="w")
        proxy.cut_after(Direction.DOWN, 1)
        origin = Origin("edge-1", "t1")
        with pytest.raises(StoreError):
            await store.save("site/a", {"n": 1}, 1, writer="w", origin=origin)
        # It happened, and nobody knew.
        (outcome,) = await store.apply([Write("site/a", {"n": 1}, 1, "w", origin=origin)])
        assert outcome.repeat
        assert outcome.record is not None
        assert (outcome.record.version, outcome.record.data) == (2, {"n": 1})
        await store.close()


async def test_no_answer_is_told_in_time_and_never_taken_for_a_later_one(
    redis: RedisServer,
) -> None:
    async with fault_proxy(redis.port) as proxy:
        store = await RedisStore.open(f"redis://{proxy.target}", namespace="stalled", timeout_s=0.3)
        await store.save("site/a", {"of": "a"}, 0, writer="w")
        await store.save("site/b", {"of": "b"}, 0, writer="w")
        proxy.stall()
        with pytest.raises(StoreError, match="in time"):
            await store.load("site/a")
        proxy.resume()
        assert (await store.load("site/b")).data == {"of": "b"}
        await store.close()


async def test_corrupted_answers_are_told(redis: RedisServer) -> None:
    async with fault_proxy(redis.port) as proxy:
        store = await RedisStore.open(
            f"redis://{proxy.target}", namespace="corrupted", timeout_s=0.5
        )
        saved = await store.save("site/a", {}, 0, writer="w")
        proxy.corrupt_next(Direction.DOWN)
        with pytest.raises(StoreError):
            await store.load("site/a")
        assert await store.load("site/a") == saved
        await store.close()


async def test_cancelled_in_the_middle_of_an_answer(redis: RedisServer) -> None:
    async with fault_proxy(redis.port) as proxy:
        store = await RedisStore.open(f"redis://{proxy.target}", namespace="cancelled")
        for n in range(20):
            await store.save(f"site/{n}", {"n": n, "pad": "x" * 5000}, 0, writer="w")
        for n in range(20):
            task = asyncio.ensure_future(store.load(f"site/{n}"))
            for _ in range(n):
                await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
            assert (await store.load(f"site/{(n + 1) % 20}")).data["n"] == (n + 1) % 20
        await store.close()


async def test_a_user_of_the_access_list(redis: RedisServer) -> None:
    rules = ("on", ">pa?ss@word", "~{acl}*", "+@all", "-config", "-info", "-@dangerous")
    await redis.ask("ACL", "SETUSER", "edge", "reset", *rules)
    where = f"127.0.0.1:{redis.port}"
    store = await RedisStore.open(f"redis://edge:pa%3Fss%40word@{where}", namespace="acl")
    assert (await store.save("site/a", {}, 0, writer="w")).version == 1
    assert (await store.changes()).records
    await store.close()
    other = await RedisStore.open(f"redis://edge:pa%3Fss%40word@{where}", namespace="not-ours")
    with pytest.raises(StoreError, match=r"(?i)permission"):
        await other.save("site/a", {}, 0, writer="w")
    await other.close()
    with pytest.raises(StoreError) as refused:
        await RedisStore.open(f"redis://edge:wrong-one@{where}", namespace="acl")
    assert "wrong-one" not in str(refused.value)


@asynccontextmanager
async def tls_in_front_of(port: int, authority: trustme.CA) -> AsyncIterator[int]:
    """TLS before a plain server: the redis-server of the wheel has none."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    async def copy(source: anyio.abc.ByteStream, to: anyio.abc.ByteStream) -> None:
        try:
            async for data in source:
                await to.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        await to.aclose()

    async def relay(client: anyio.abc.ByteStream) -> None:
        server = await anyio.connect_tcp("127.0.0.1", port)
        async with client, server, anyio.create_task_group() as tasks:
            tasks.start_soon(copy, client, server)
            tasks.start_soon(copy, server, client)

    plain = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    found = plain.listeners[0].extra(anyio.abc.SocketAttribute.local_port)
    listener = TLSListener(plain, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, relay)
        yield found
        tasks.cancel_scope.cancel()


async def test_tls_with_our_authority_and_no_other(redis: RedisServer, tmp_path: Path) -> None:
    ours, other = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ours.pem"))
    other.cert_pem.write_to_path(str(tmp_path / "other.pem"))
    async with tls_in_front_of(redis.port, ours) as port:
        url = f"rediss://localhost:{port}/0"
        store = await RedisStore.open(f"{url}?ssl_ca_certs={tmp_path}/ours.pem", namespace="tls")
        assert (await store.save("site/a", {}, 0, writer="w")).version == 1
        await store.close()
        for wrong in (url, f"{url}?ssl_ca_certs={tmp_path}/other.pem"):
            with pytest.raises(StoreError, match=r"(?i)certificate"):
                await RedisStore.open(wrong, namespace="tls")
        # The certificate is for another name than the one asked for.
        numeric = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/ours.pem"
        with pytest.raises(StoreError, match=r"(?i)certificate"):
            await RedisStore.open(numeric, namespace="tls")
        store = await RedisStore.open(f"{numeric}&ssl_check_hostname=no", namespace="tls")
        assert (await store.load("site/a")).version == 1
        await store.close()
    with pytest.raises((InvalidConfig, StoreError), match=r"nowhere\.pem|No such file"):
        await RedisStore.open("rediss://localhost:1?ssl_ca_certs=/nowhere.pem")


@pytest.mark.parametrize("namespace", ["", "a{b", "a}b", "a\nb"])
async def test_a_namespace_without_a_hash_tag_is_refused(
    redis: RedisServer, namespace: str
) -> None:
    with pytest.raises(InvalidConfig, match="namespace"):
        await RedisStore.open(redis.url, namespace=namespace)


@pytest.mark.parametrize(("replicas", "wait_ms"), [(-1, 100), (1, 0), (1, 10**9)])
async def test_impossible_waits_are_refused(
    redis: RedisServer, replicas: int, wait_ms: int
) -> None:
    with pytest.raises(InvalidConfig, match="wait_replicas"):
        await RedisStore.open(redis.url, wait_replicas=replicas, wait_ms=wait_ms)
