"""Pooling windows of a site, and writing what they prove back into the memory."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from prometheus_client import CollectorRegistry

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import TrustWindow, context_id
from secondlook.shared.memory.kinds.trust import MAX_CAMERAS
from secondlook.shared.trust import (
    Basis,
    SiteCertifier,
    TrustChange,
    TrustKeeper,
    TrustMeter,
    TrustSettings,
    TrustState,
    certificate_of,
    clopper_pearson,
    counts_of,
    pool,
    window_key,
)
from secondlook.shared.trust.pooling import MAX_GROUPS, groups

GRID = (0.0, 0.1, 0.3)


def window(**changes: Any) -> TrustWindow:
    fields: dict[str, Any] = {
        "started_s": 1000.0,
        "ended_s": 2000.0,
        "at_s": 2001.0,
        "alpha": 0.01,
        "delta": 0.05,
        "audit_rate": 0.01,
        "gate": "gate-1",
        "model": "heavy",
        "model_version": "7",
        "thresholds": GRID,
        "frames": 10_000,
        "audits": 100,
        "misses": (0, 0, 1),
        "known_misses": (0, 0, 0),
        "state": "uncertified",
    }
    return TrustWindow(**{**fields, **changes})


def test_what_no_camera_proves_alone_the_site_proves() -> None:
    windows = {f"yard/{n}": [window()] for n in range(4)}
    found = pool(windows).certificate
    assert found.cameras == ("yard/0", "yard/1", "yard/2", "yard/3")
    assert (found.frames, found.audits, found.misses) == (40_000, 400, 0)
    assert found.tau == 0.1
    assert found.bound == pytest.approx(float(clopper_pearson(0, 400, 0.05)))
    assert pool({"yard/0": [window()]}).certificate.sends_all


def test_known_frames_and_several_windows_add_up() -> None:
    one = window(known=50, known_misses=(0, 5, 9), misses=(0, 0, 0))
    found = pool({"yard/a": [one, window()], "yard/b": [window(misses=(0, 1, 2))]})
    assert found.counts.frames == 30_000
    assert found.counts.known == 50
    assert found.counts.known_misses.tolist() == [0, 5, 9]
    assert found.counts.misses.tolist() == [0, 1, 3]
    assert found.audit_rate == 0.01


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"audit_rate": 0.02}, "audit_rate is 0.02, not 0.01"),
        ({"gate": "gate-2"}, "gate is gate-2"),
        ({"model": "other"}, "model is other"),
        ({"model_version": "8"}, "model_version is 8"),
        ({"alpha": 0.02}, "alpha is 0.02"),
        ({"delta": 0.1}, "delta is 0.1"),
        ({"thresholds": (0.0, 0.1, 0.4)}, "thresholds"),
        ({"lost": 1}, "1 audits were lost"),
        ({"spoilt": "link down"}, "link down"),
        ({"ended_s": None}, "open"),
        ({"audit_rate": None}, "several audit probabilities"),
        ({"cameras": ("yard/a",)}, "a pool itself"),
    ],
)
def test_windows_that_do_not_fit_are_refused(changes: dict[str, Any], why: str) -> None:
    odd = window(**changes)
    with pytest.raises(InvalidInput, match=why):
        pool({"yard/a": [window()], "yard/b": [odd]})
    found = groups({"yard/a": [window(at_s=9e9)], "yard/b": [odd]}, 1000.0)
    assert {"yard/a": [window(at_s=9e9)]} in found
    assert all(len(group) == 1 for group in found)


def test_no_windows_prove_nothing() -> None:
    with pytest.raises(InvalidInput, match="no windows"):
        pool({})
    with pytest.raises(InvalidInput, match="at most"):
        pool({f"yard/{n}": [window()] for n in range(MAX_CAMERAS + 1)})
    assert groups({}, 1.0) == []
    assert groups({"yard/a": [window(lost=3)]}, 1.0) == []
    many = {f"yard/{n}": [window()] for n in range(MAX_CAMERAS + 9)}
    assert [len(group) for group in groups(many, 1.0)] == [MAX_CAMERAS]
    gates = {f"yard/{n}": [window(gate=f"gate-{n}")] for n in range(MAX_GROUPS + 3)}
    assert len(groups(gates, 1.0)) == MAX_GROUPS


def test_each_gate_has_a_group_of_recent_windows() -> None:
    newer = window(started_s=2000.0, ended_s=2100.0, gate="gate-2")
    last = window(started_s=2000.0, ended_s=3000.0)
    windows = {
        "yard/a": [window(started_s=0.0, ended_s=500.0), window(), newer],
        "yard/b": [last],
    }
    assert groups(windows, period_s=1500.0) == [
        {"yard/a": [window()], "yard/b": [last]},
        {"yard/a": [newer]},
    ]


def test_a_record_keeps_what_it_counts() -> None:
    counts = counts_of(window(known=50, known_misses=(0, 5, 9)))
    assert (counts.frames, counts.known, counts.audits) == (10_000, 50, 100)
    with pytest.raises(InvalidInput):
        counts_of(window(audit_rate=None))
    assert certificate_of(window(), "yard/a") is None
    proved = window(certified_tau=0.1, bound=0.009)
    found = certificate_of(proved, "yard/a")
    assert found is not None
    assert (found.tau, found.bound, found.cameras, found.misses) == (0.1, 0.009, ("yard/a",), 0)
    for spoiling in ({"lost": 1}, {"spoilt": "x"}, {"ended_s": None}, {"certified_tau": 0.0}):
        assert certificate_of(proved.model_copy(update=spoiling), "yard/a") is None


def test_keys_sort_by_time() -> None:
    keys = [window_key(at) for at in (0.0, 1.5, 1e9, 1.7e9, 1e11)]
    assert keys == sorted(keys)
    assert keys[1] == "19700101T000001.500Z-1"
    context_id("yard/gate", TrustWindow, keys[-1])


# In the memory of the cloud


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(tmp_path / "cloud.db")
    yield store
    await store.close()


async def save(store: SqliteStore, camera: str, value: TrustWindow, version: int = 0) -> None:
    record_id = context_id(camera, TrustWindow, window_key(value.started_s))
    await store.save(record_id, value.document(), version, writer="edge")


@pytest.mark.anyio
async def test_each_site_is_certified_when_its_windows_change(store: SqliteStore) -> None:
    certifier = SiteCertifier(store, writer="cloud")
    assert await certifier.round(3000.0) == []
    for n in range(4):
        await save(store, f"yard/{n}", window())
    await save(store, "roof/a", window(misses=(0, 3, 3)))
    await store.save("yard/0/note/1", {"text": "no window"}, 0, writer="someone")
    written = await certifier.round(3000.0)
    assert [r.id.rpartition("/")[0] for r in written] == ["roof/_site/trust", "yard/_site/trust"]
    roof, yard = (TrustWindow.of(record.data) for record in written)
    assert (yard.state, yard.certified_tau, yard.cameras) == (
        "certified", 0.1, ("yard/0", "yard/1", "yard/2", "yard/3"),
    )  # fmt: skip
    assert (roof.state, roof.certified_tau) == ("uncertified", 0.0)
    assert written[1].expires_at is not None
    assert await certifier.round(3001.0) == []
    await save(store, "yard/4", window(started_s=1500.0, ended_s=2500.0))
    (again,) = await certifier.round(3002.0)
    assert TrustWindow.of(again.data).audits == 500
    # Another service, and the same one after a restart, find nothing to write.
    assert await SiteCertifier(store, writer="other").round(3003.0) == []


@pytest.mark.anyio
async def test_damaged_open_and_deleted_records_are_passed_over(store: SqliteStore) -> None:
    certifier = SiteCertifier(store, writer="cloud")
    await save(store, "yard/a", window(ended_s=None))
    await store.save("yard/b/trust/x", {"schema": 1, "frames": "many"}, 0, writer="edge")
    await store.save("yard/c/trust/x", {"schema": 99}, 0, writer="edge")
    await save(store, "yard/d", window())
    await store.delete(context_id("yard/d", TrustWindow, window_key(1000.0)), 1, writer="edge")
    assert await certifier.round(3000.0) == []
    # A clock that is years ahead, and a camera whose id is too long for a site's record.
    await save(store, "yard/e", window(started_s=1000.0, ended_s=9e9))
    await save(store, "yard/" + "f" * 200, window())
    assert await certifier.round(3000.0) == []
    await save(store, "yard/g", window())
    (written,) = await certifier.round(3000.0)
    assert TrustWindow.of(written.data).cameras == ("yard/g",)


@pytest.mark.anyio
async def test_a_camera_takes_over_what_its_site_proved(store: SqliteStore) -> None:
    settings = TrustSettings(audit_rate=0.1, window_frames=1000, thresholds=GRID)
    keepers = [TrustKeeper(f"yard/{n}", settings, Basis("g", "heavy", "7")) for n in range(4)]
    for keeper in keepers:
        for n in range(1000):
            keeper.frame(n, 1000.0 + n, probability=0.1, audited=n % 10 == 0)
            if n % 10 == 0:
                keeper.outcome(n, math.inf)
        assert keeper.status.state is TrustState.UNCERTIFIED
        for key, record in keeper.take_windows():
            record_id = context_id(keeper.camera, TrustWindow, key)
            await store.save(record_id, record.document(), 0, writer="edge")
    (record,) = await SiteCertifier(store, writer="cloud").round(3000.0)
    certificate = certificate_of(TrustWindow.of(record.data), "yard/_site")
    assert certificate is not None
    assert all(keeper.adopt(certificate) for keeper in keepers)
    assert {keeper.status.state for keeper in keepers} == {TrustState.CERTIFIED}


# Metrics and events


def test_metrics_show_the_state_and_events_its_changes() -> None:
    registry = CollectorRegistry()
    meter = TrustMeter(registry)
    settings = TrustSettings(audit_rate=0.1, window_frames=4000, thresholds=GRID)
    keeper = TrustKeeper("yard/gate", settings, Basis("g", "heavy", "7"))

    def value(name: str, **labels: str) -> float | None:
        labels = {"camera": "yard/gate", **labels}
        return registry.get_sample_value(f"secondlook_edge_trust_{name}", labels)

    meter.shows("yard/gate", keeper.status)
    assert value("state", state="learning") == 1
    assert np.isnan(value("bound"))
    for n in range(4000):
        keeper.frame(n, 1000.0, probability=0.1, audited=n % 10 == 0)
        if n % 10 == 0:
            keeper.outcome(n, math.inf)
    with structlog.testing.capture_logs() as logs:
        for change in keeper.take_changes():
            meter.changed(change)
    meter.shows("yard/gate", keeper.status)
    meter.audited("yard/gate", missed=True)
    meter.lost("yard/gate")
    assert value("state", state="learning") == 0
    assert value("state", state="certified") == 1
    assert value("threshold") == 0.3
    assert value("bound") == pytest.approx(0.00746, abs=1e-5)
    assert value("audits_total", outcome="missed") == 1
    assert value("lost_audits_total") == 1
    (event,) = logs
    assert (event["log_level"], event["before"], event["after"]) == (
        "info",
        "learning",
        "certified",
    )
    assert event["reasons"][0].startswith("at threshold 0.3 at most 0.746% of frames")


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (TrustState.ALARM, "error"),
        (TrustState.SLO_INFEASIBLE, "error"),
        (TrustState.UNCERTIFIED, "warning"),
        (TrustState.RECERTIFYING, "warning"),
        (TrustState.CERTIFIED, "info"),
    ],
)
def test_grave_changes_are_logged_as_such(state: TrustState, level: str) -> None:
    registry = CollectorRegistry()
    change = TrustChange("c", 1.0, TrustState.LEARNING, state, ("why",), 0.1, 0.01)
    with structlog.testing.capture_logs() as logs:
        TrustMeter(registry).changed(change)
    assert logs[0]["log_level"] == level
    alarms = registry.get_sample_value("secondlook_edge_trust_alarms_total", {"camera": "c"})
    assert alarms == (1.0 if state is TrustState.ALARM else None)
