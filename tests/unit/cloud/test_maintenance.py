from __future__ import annotations

import anyio
import pytest
from prometheus_client import CollectorRegistry
from support.cloud import fake_cloud
from support.waiting import eventually

from secondlook.cloud.maintenance import AT_ONCE, forget, maintained
from secondlook.cloud.metrics import MemoryMetrics
from secondlook.shared.errors import StoreError
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.record import Record
from secondlook.shared.trust import SiteCertifier

pytestmark = pytest.mark.anyio


class Graveyard(SqliteStore):
    """A store with so many dead records; it fails as often as it is told."""

    def __init__(self, dead: int, failures: int = 0) -> None:
        self.dead = dead
        self.failures = failures
        self.steps: list[tuple[float, int]] = []

    async def compact(self, keep_s: float, limit: int = 1000) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreError("as the test wants")
        self.steps.append((keep_s, limit))
        gone = min(self.dead, limit)
        self.dead -= gone
        return gone


def counted(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(f"secondlook_cloud_memory_{name}_total")


@pytest.fixture(autouse=True)
def _no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondlook.cloud.maintenance.REST_S", 0.0)


@pytest.mark.parametrize(
    ("dead", "steps"), [(0, 1), (1, 1), (AT_ONCE - 1, 1), (AT_ONCE, 2), (3 * AT_ONCE + 1, 4)]
)
async def test_a_round_forgets_all_in_bounded_steps(dead: int, steps: int) -> None:
    registry = CollectorRegistry()
    store = Graveyard(dead)
    assert await forget(store, 60.0, MemoryMetrics(registry)) == dead
    assert store.steps == [(60.0, AT_ONCE)] * steps
    assert counted(registry, "forgotten_records") == dead


async def test_a_store_that_fails_is_asked_again() -> None:
    registry = CollectorRegistry()
    store = Graveyard(5, failures=2)
    async with maintained(store, keep_s=60, every_s=0.001, metrics=MemoryMetrics(registry)):
        await eventually(lambda: store.dead == 0)
    assert counted(registry, "forgetting_failures") == 2


async def test_it_ends_with_its_block_and_hides_no_error() -> None:
    store = Graveyard(0)
    with pytest.raises(ZeroDivisionError):
        async with maintained(
            store, keep_s=60, every_s=3600, metrics=MemoryMetrics(CollectorRegistry())
        ):
            raise ZeroDivisionError
    assert store.steps == []


async def test_a_service_forgets_what_is_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    # The settings allow no less than a second between rounds, and a minute of memory.
    monkeypatch.setattr("secondlook.cloud.maintenance.random.uniform", lambda *_: 0.001)
    memory = {"compact_every_s": 1.0, "keep_tombstones_s": 60.0}
    asked: list[float] = []
    compact = SqliteStore.compact

    forgotten = anyio.Event()

    async def now(store: SqliteStore, keep_s: float, limit: int = 1000) -> int:
        asked.append(keep_s)
        records = await compact(store, 0, limit)
        if records:
            forgotten.set()
        return records

    monkeypatch.setattr(SqliteStore, "compact", now)
    async with fake_cloud(memory=memory) as (cloud, _):
        await cloud.store.save("a", {}, 0, writer="w")
        await cloud.store.delete("a", 1, writer="w")
        with anyio.fail_after(10):
            await forgotten.wait()
        assert (await cloud.store.changes()).records == ()
    assert set(asked) == {60.0}


class Notary(SiteCertifier):
    """It certifies a site in each round; it fails as often as it is told."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.rounds: list[float] = []

    async def round(self, now_s: float) -> list[Record]:
        if self.failures:
            self.failures -= 1
            raise StoreError("as the test wants")
        self.rounds.append(now_s)
        return [Record("yard/_site/trust/x", {"state": "certified"}, 1, 1, now_s, "cloud")]


async def test_sites_are_certified_also_where_nothing_is_forgotten() -> None:
    registry = CollectorRegistry()
    notary = Notary(failures=2)
    store = await SqliteStore.open(":memory:")
    async with maintained(
        store,
        keep_s=60,
        every_s=600,
        metrics=MemoryMetrics(registry),
        certifier=notary,
        certify_every_s=0.001,
        wall=lambda: 7.0,
    ):
        await eventually(lambda: len(notary.rounds) >= 3)
    await store.close()
    assert set(notary.rounds) == {7.0}
    assert counted(registry, "certifying_failures") == 2
    assert counted(registry, "site_certificates") == len(notary.rounds)
