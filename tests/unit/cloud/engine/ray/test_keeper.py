"""The keeper of applications, over a cluster that does as it is told. (Real ones: heavy.)"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from support.waiting import eventually

from secondlook.cloud.engine.ray.keeper import Keeper
from secondlook.cloud.engine.ray.reports import STALE_S, Report
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import Unavailable

pytestmark = pytest.mark.anyio

LONG_S = 60.0
SHORT_S = 0.02


class Cluster:
    """Deletes what it is told; ``broken``: it cannot."""

    def __init__(self, *names: str) -> None:
        self.found = names
        self.looks = 0
        self.deleted: list[str] = []
        self.broken = False

    async def names(self) -> Sequence[str]:
        self.looks += 1
        if self.broken:
            raise Unavailable("not now")
        return self.found

    async def delete(self, name: str) -> None:
        if self.broken:
            raise Unavailable("not now")
        self.deleted.append(name)


async def up(keeper: Keeper, holder: str, for_s: float = LONG_S) -> str:
    """Deployed by one; its name."""
    name, mine = await keeper.hold("a", holder, for_s)
    assert mine
    assert await keeper.deployed("a", name, holder, for_s)
    return name


async def test_one_deploys_it_and_the_others_wait_for_that() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    name, mine = await keeper.hold("a", "one", LONG_S)
    assert mine
    waiting = [asyncio.ensure_future(keeper.hold("a", who, LONG_S)) for who in ("two", "three")]
    await asyncio.sleep(0)
    assert await keeper.deployed("a", name, "one", LONG_S)
    assert await asyncio.gather(*waiting) == [(name, False), (name, False)]
    for who in ("one", "two"):
        await keeper.release("a", who)
    await asyncio.sleep(0)
    assert cluster.deleted == []
    await keeper.release("a", "three")
    await eventually(lambda: cluster.deleted == [name])


async def test_what_is_deployed_again_has_another_name() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    first = await up(keeper, "one")
    await keeper.release("a", "one")
    second = await up(keeper, "two")
    assert first != second
    await eventually(lambda: cluster.deleted == [first])
    # Who took part in the first one is not counted with the second.
    assert await keeper.renew([("a", first, "one"), ("a", second, "two")], LONG_S) == ["one"]


async def test_who_fails_to_deploy_it_leaves_that_to_the_next() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    first, _ = await keeper.hold("a", "one", LONG_S)
    waiting = asyncio.ensure_future(keeper.hold("a", "two", LONG_S))
    await asyncio.sleep(0)
    await keeper.release("a", "one")
    second, mine = await waiting
    assert mine
    # What is half done, or done too late, is taken away.
    assert not await keeper.deployed("a", first, "one", LONG_S)
    await eventually(lambda: cluster.deleted == [first, first])
    assert await keeper.deployed("a", second, "two", LONG_S)


async def test_who_dies_while_it_deploys_leaves_that_to_the_next() -> None:
    keeper = Keeper(Cluster(), LONG_S)
    await keeper.hold("a", "one", SHORT_S)
    _, mine = await keeper.hold("a", "two", LONG_S)
    assert mine


async def test_who_is_too_late_is_told_and_its_application_taken_away() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    name, _ = await keeper.hold("a", "one", SHORT_S)
    await eventually(lambda: cluster.deleted == [name])
    assert not await keeper.deployed("a", name, "one", LONG_S)
    await eventually(lambda: cluster.deleted == [name, name])
    again, mine = await keeper.hold("a", "one", LONG_S)
    assert mine
    assert again != name


async def test_who_asks_again_has_the_same_answer() -> None:
    # Where an answer is lost with an actor, Ray asks the next one.
    keeper = Keeper(Cluster(), LONG_S)
    assert await keeper.hold("a", "one", LONG_S) == await keeper.hold("a", "one", LONG_S)


async def test_who_dies_holds_it_until_the_lease_runs_out() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    name = await up(keeper, "one", SHORT_S)
    await eventually(lambda: cluster.deleted == [name])


async def test_a_lease_that_is_renewed_does_not_run_out() -> None:
    cluster = Cluster()
    clock = ManualClock()
    keeper = Keeper(cluster, LONG_S, clock)
    name = await up(keeper, "one", 10.0)
    await keeper.hold("a", "two", 10.0)
    for _ in range(5):
        clock.advance(6.0)
        assert await keeper.renew([("a", name, "one")], 10.0) == []
        keeper._lapse()
    # The other one has run out since.
    await keeper.release("a", "one")
    await eventually(lambda: cluster.deleted == [name])
    assert await keeper.renew([("a", name, "one")], 10.0) == ["one"]


async def test_what_lingers_is_there_for_who_starts_again() -> None:
    cluster = Cluster()
    keeper = Keeper(cluster, LONG_S)
    name = await up(keeper, "one")
    await keeper.release("a", "one", LONG_S)
    assert await keeper.hold("a", "one again", LONG_S) == (name, False)
    await keeper.release("a", "one again", SHORT_S)
    await asyncio.sleep(0)
    assert cluster.deleted == []
    await keeper.release("a", "one")
    await eventually(lambda: cluster.deleted == [name])


async def test_a_keeper_that_starts_again_waits_for_those_in_front() -> None:
    cluster = Cluster("a-1", "b-1", "b-2")
    clock = ManualClock()
    keeper = Keeper(cluster, 10.0, clock)
    held = [("a", "a-1", "one"), ("b", "", "one"), ("c", "c-1", "two")]
    assert await keeper.renew(held, 60.0) == ["two"]
    assert await keeper.hold("a", "three", 60.0) == ("a-1", False)
    await eventually(lambda: cluster.deleted == ["b-2"])
    await keeper.release("b", "one")
    clock.advance(11.0)
    keeper._lapse()
    await eventually(lambda: cluster.deleted == ["b-2", "b-1"])
    # One that was deployed while there was no keeper.
    assert await keeper.deployed("d", "d-1", "one", 60.0)
    assert await keeper.hold("d", "two", 60.0) == ("d-1", False)


async def test_a_cluster_that_does_not_answer_is_asked_again() -> None:
    cluster = Cluster("a-1")
    cluster.broken = True
    keeper = Keeper(cluster, LONG_S)
    with pytest.raises(Unavailable):
        await keeper.hold("a", "one", LONG_S)
    cluster.broken = False
    assert await keeper.hold("a", "one", LONG_S) == ("a-1", False)
    assert cluster.looks == 2


async def test_what_cannot_be_deleted_is_deleted_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secondlook.cloud.engine.ray.keeper.AGAIN_S", SHORT_S)
    cluster = Cluster()
    keeper = Keeper(cluster, SHORT_S)
    name = await up(keeper, "one")
    cluster.broken = True
    await keeper.release("a", "one")
    await asyncio.sleep(0)
    # Whoever comes meanwhile does not wait for that.
    await up(keeper, "two")
    cluster.broken = False
    await eventually(lambda: cluster.deleted == [name])


async def test_who_is_given_up_while_it_waits_is_told() -> None:
    keeper = Keeper(Cluster(), LONG_S)
    await keeper.hold("a", "one", LONG_S)
    waiting = asyncio.ensure_future(keeper.hold("a", "two", LONG_S))
    await asyncio.sleep(0)
    await keeper.release("a", "two")
    with pytest.raises(Unavailable):
        await waiting


async def test_what_is_not_there_is_deployed_by_who_asks_next() -> None:
    keeper = Keeper(Cluster(), LONG_S)
    name = await up(keeper, "one")
    assert await keeper.hold("a", "two", LONG_S) == (name, False)
    await keeper.lost("a", name)
    again, mine = await keeper.hold("a", "two", LONG_S)
    assert mine
    # What is on its way is not lost, and neither is another one.
    await keeper.lost("a", again)
    await keeper.lost("a", name)
    assert await keeper.deployed("a", again, "two", LONG_S)


async def test_of_replicas_the_last_word_is_told_until_it_is_old() -> None:
    clock = ManualClock()
    keeper = Keeper(Cluster(), LONG_S, clock)
    first, second, other = (Report("a", "r1", ()), Report("a", "r2", ()), Report("b", "r3", ()))
    for report in (first, second, other):
        await keeper.report(report)
    assert await keeper.told(["a", "c"]) == [first, second]
    clock.advance(STALE_S)
    await keeper.report(second)
    clock.advance(1.0)
    assert await keeper.told(["a", "b"]) == [second]
