from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from secondlook.shared.errors import InvalidConfig, StoreError
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


def test_the_edge_needs_no_redis_library() -> None:
    code = (
        "import sys; sys.modules['redis'] = None\n"
        "import anyio, secondlook.shared.memory as memory\n"
        "anyio.run(memory.open_store, 'sqlite:///:memory:')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
