from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.cli.bench.prefetch.traces import read_trace
from secondlook.cloud.prefetch import PrefetchSettings, Recorder, recorder
from secondlook.shared.errors import StoreError

pytestmark = pytest.mark.anyio


async def test_what_is_recorded_can_be_replayed(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    writer = Recorder(file)
    writer.asked("heavy", 12.5)
    await writer.flush()
    writer.asked("light", 13.0)
    await writer.flush()
    await writer.flush()
    assert read_trace(file).requests == [(12.5, "heavy"), (13.0, "light")]


async def test_what_cannot_be_written_in_time_is_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "BOUND", 2)
    writer = Recorder(tmp_path / "requests.jsonl")
    for at_s in range(5):
        writer.asked("heavy", float(at_s))
    assert writer.dropped == 3


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    writer = Recorder(tmp_path)
    writer.asked("heavy", 1.0)
    with pytest.raises(StoreError, match=tmp_path.name):
        await writer.flush()


def test_the_thresholds_are_in_order() -> None:
    with pytest.raises(ValueError, match="when_idle"):
        PrefetchSettings(at_once=0.5, when_idle=0.6)
