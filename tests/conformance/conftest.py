"""The stores that the suites of the context memory run over."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.redis import RedisServer, redis_server
from support.stores import STORES, opened_store

from secondlook.shared.memory import ContextStore
from secondlook.shared.memory.protocol import Compactable


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=STORES)
async def store_and_behind(
    request: pytest.FixtureRequest, tmp_path: Path, redis: RedisServer
) -> AsyncIterator[tuple[ContextStore, Compactable]]:
    async with opened_store(request.param, tmp_path, redis) as opened:
        yield opened


@pytest.fixture
def store(store_and_behind: tuple[ContextStore, Compactable]) -> ContextStore:
    """A fresh store."""
    return store_and_behind[0]


@pytest.fixture
def behind(store_and_behind: tuple[ContextStore, Compactable]) -> Compactable:
    """The store that keeps what ``store`` is told: the same, or what the service uses."""
    return store_and_behind[1]
