"""What the daemon's memory gives back to cameras: what they and their site have certified."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from support.waiting import until

from secondlook.edge.memory.hub import Memory
from secondlook.edge.memory.notes import Note
from secondlook.edge.memory.settings import MemorySettings
from secondlook.edge.uplink.settings import UplinkSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.memory.kinds import TrustWindow, context_id

pytestmark = pytest.mark.anyio


def window(at_s: float = 2000.0, **changes: object) -> TrustWindow:
    fields: dict[str, object] = {
        "started_s": 1000.0,
        "at_s": at_s,
        "alpha": 0.01,
        "delta": 0.05,
        "gate": "gate-1",
        "model": "heavy",
        "model_version": "7",
        "thresholds": (0.0, 0.1),
        "misses": (0, 0),
        "known_misses": (0, 0),
    }
    return TrustWindow.model_validate({**fields, **changes})


def memory(path: Path) -> Memory:
    settings = MemorySettings(path=path, write_every_s=0.0, trust_life_s=7200.0)
    uplink = UplinkSettings(enabled=False)
    cameras = ("yard/gate", "yard/road", "lone")
    return Memory(settings, uplink, cameras, SystemClock(), CollectorRegistry())


async def test_windows_outlive_a_process_and_end_in_time(tmp_path: Path) -> None:
    async with (one := memory(tmp_path / "m.db")).running():
        one.note("yard/gate", [Note(TrustWindow, "w1", window())])
        one.note("yard/gate", [Note(TrustWindow, "w1", window(3000.0, frames=50))])
        one.note("lone", [Note(TrustWindow, "w1", window(frames=7))])
        await one.drain(10.0)
        store = one._store
        assert store is not None
        record = await store.load("yard/gate/trust/w1")
        assert record.expires_at is not None
        assert 7000 < record.expires_at - SystemClock().wall() <= 7200
    async with (two := memory(tmp_path / "m.db")).running():
        found = await two.recall("yard/gate")
        assert found is not None
        assert {key: value.frames for key, value in found.trust.items()} == {"w1": 50}
        assert found.site_trust == {}
        other = await two.recall("lone")
        assert other is not None
        assert {key: value.frames for key, value in other.trust.items()} == {"w1": 7}


async def test_what_a_site_has_certified_reaches_its_cameras_while_they_run(tmp_path: Path) -> None:
    async with (one := memory(tmp_path / "m.db")).running():
        before = one.site_trust("yard/gate")
        assert before == {}
        store = one._store
        assert store is not None
        cameras = ("yard/gate", "yard/road")
        pooled = window(frames=100, cameras=cameras)
        await store.save(
            context_id("yard/_site", TrustWindow, "w9"), pooled.document(), 0, writer="cloud"
        )
        await until(lambda: one.site_trust("yard/gate") != {})
        found = one.site_trust("yard/gate")
        assert found["w9"].cameras == cameras
        assert one.site_trust("yard/road") == found
        assert one.site_trust("lone") == {}
        # What is no news is no other object: cameras look at it with each frame.
        await store.save("yard/gate/note/x", {"n": 1}, 0, writer="here")
        newer = await one.recall("yard/road")
        assert newer is not None
        assert newer.site_trust == found
        assert one.site_trust("yard/gate") is found


async def test_a_record_of_a_site_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    async with (one := memory(tmp_path / "m.db")).running():
        store = one._store
        assert store is not None
        await store.save("yard/_site/trust/bad", {"schema": 1, "x": 2}, 0, writer="cloud")
        await store.save("yard/_site/trust/good", window().document(), 0, writer="cloud")
        found = await one.recall("yard/gate")
        assert found is not None
        assert (list(found.site_trust), found.skipped) == (["good"], 1)
