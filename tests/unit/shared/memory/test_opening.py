from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from support.cloud import fake_cloud

from secondlook.shared.errors import InvalidConfig, StoreError, Unavailable
from secondlook.shared.memory import SqliteStore, open_store
from secondlook.shared.memory.redis import without_password

pytestmark = pytest.mark.anyio


async def test_a_relative_and_an_absolute_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite:///one.db", f"sqlite:///{tmp_path}/two.db"):
        store = await open_store(url)
        assert isinstance(store, SqliteStore)
        await store.close()
    found = {file.name async for file in anyio.Path(tmp_path).glob("*.db")}
    assert found == {"one.db", "two.db"}


@pytest.mark.parametrize(
    "url", ["", "sqlite://", "sqlite:///", "postgres://x", "memory", "redis:/x", "http://x"]
)
async def test_what_is_no_store_is_told_with_what_is(url: str) -> None:
    with pytest.raises(InvalidConfig, match="redis://"):
        await open_store(url)


@pytest.mark.parametrize("url", ["redis://127.0.0.1:port/0", "redis://127.0.0.1:99999999/0"])
async def test_a_malformed_redis_url_is_told(url: str) -> None:
    with pytest.raises((InvalidConfig, StoreError)):
        await open_store(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://user:p@ss@h:1/0", "redis://h:1/0"),
        ("rediss://:secret@h/0?password=secret", "rediss://h/0"),
        ("unix://:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
    ],
)
def test_passwords_are_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


async def test_a_service_is_a_store(tmp_path: Path) -> None:
    async with fake_cloud() as (cloud, _):
        store = await open_store(f"grpc://127.0.0.1:{cloud.port}")
        await store.save("a", {"n": 1}, 0, writer="w")
        assert (await cloud.store.load("a")).data == {"n": 1}
        await store.close()
    with pytest.raises(InvalidConfig, match="allow_plaintext"):
        await open_store("grpc://cloud.example.com:50051")
    with pytest.raises(InvalidConfig, match="cannot be read"):
        await open_store(f"grpcs://cloud.example.com:50051?ca={tmp_path}/none.pem")


async def test_a_service_that_is_away_is_told_by_the_first_call() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        store = await open_store(f"grpc://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(Unavailable):
            await store.ping()
        await store.close()


def test_the_edge_needs_no_redis_library() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "import anyio, secondlook.shared.memory as memory\n"
        "anyio.run(memory.open_store, 'sqlite:///:memory:')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
