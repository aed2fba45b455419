"""The real daemon plays a clip over an emulated link, on real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest
from anyio import to_thread
from support.pricing import with_audits

from secondlook.cli.price.models import load_model
from secondlook.cli.price.over_link import (
    LinkRun,
    allowed_kb,
    daemon_settings,
    only,
    play_over,
)
from secondlook.cli.price.run import Comparison, Plan, price
from secondlook.cli.price.witnesses import Recorder
from secondlook.edge.control import BudgetSettings
from secondlook.edge.sinks import Event
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections, FrameRef, Observation

NAMES = ("car",)


def plan(clip: Path, **more: object) -> Plan:
    return Plan(
        str(clip),
        analysis_fps=10.0,
        systems=("edge",),
        pipeline=with_audits(0.0),
        **more,
    )


async def played(clip: Path, light: Path, heavy: Path, link: str, **more: object) -> LinkRun:
    async def models() -> tuple[object, object]:
        return (
            await to_thread.run_sync(load_model, str(light), "--edge-model"),
            await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
        )

    chosen = plan(clip, **more)
    comparison: Comparison = await price(chosen, *await models())
    return await play_over(chosen, link, *await models(), comparison.standard, comparison.metric)


@pytest.mark.anyio
async def test_frames_are_answered_and_verdicts_come_over_the_link(
    clip: Path, light: Path, heavy: Path
) -> None:
    run = await played(clip, light, heavy, "5g")
    assert run.due == 12
    assert 0 < run.answered <= 12
    assert run.outcome.frames == run.answered
    assert run.outcome.escalations_per_frame > 0
    assert run.most_kb > 0
    assert run.budget_kb is None
    assert run.lost == 0
    assert run.heavy_s.p50 is not None
    # Verdicts revised something, later than it was first said.
    assert 0 < run.revised <= 1
    assert run.revised_s.p50 is not None
    assert run.outcome.first.latency_s.p50 is not None
    assert run.revised_s.p50 > run.outcome.first.latency_s.p50
    assert run.outcome.final.agreement.f1 > run.outcome.first.agreement.f1


@pytest.mark.anyio
async def test_a_budget_is_told_beside_what_was_sent(clip: Path, light: Path, heavy: Path) -> None:
    run = await played(clip, light, heavy, "4g", budget=BudgetSettings(kb_per_s=50.0))
    assert run.budget_kb == 50.0 * 70
    assert 0 < run.most_kb < run.budget_kb


@pytest.mark.anyio
async def test_an_unknown_link_is_refused(clip: Path, light: Path, heavy: Path) -> None:
    with pytest.raises(InvalidInput, match="unknown link 'string'"):
        await played(clip, light, heavy, "string")


def test_the_daemon_gets_the_pipeline_that_was_compared(tmp_path: Path) -> None:
    chosen = plan(tmp_path / "clip.mp4", budget=BudgetSettings(cloud_per_s=2.0), clip_fps=25.0)
    settings = daemon_settings(chosen, "127.0.0.1:9", tmp_path)
    assert settings.gate == chosen.pipeline.gate
    assert settings.regions == chosen.pipeline.regions
    assert settings.budget.cloud_per_s == 2.0
    (camera,) = settings.cameras
    assert (camera.analysis_fps, camera.fps, camera.pacing.value) == (10.0, 25.0, "realtime")
    # Nothing is left behind in the home of whoever measures.
    assert not settings.memory.enabled
    assert settings.uplink.spool.path is not None
    assert settings.uplink.spool.path.is_relative_to(tmp_path)


def event(sequence: int, revision: int, after_s: float, boxes: int = 1) -> Event:
    said = Detections.of([[0, 0, 9, 9]] * boxes, [0.9] * boxes, [0] * boxes, NAMES)
    frame = FrameRef("price", sequence, 100.0, 1.7e9, 64, 48)
    return Event(Observation(frame, said, revision, published_s=100.0 + after_s), 0.0)


def test_a_recorder_keeps_the_first_word_and_the_last() -> None:
    recorder = Recorder()
    recorder.write([event(3, 0, 0.1), event(4, 0, 0.2)])
    recorder.write([event(3, 1, 0.5, 2), event(3, 2, 0.9, 3)])
    # A revision of a frame that was never answered is of no use.
    recorder.write([event(9, 1, 0.5)])
    assert set(recorder.answers) == {3, 4}
    answer = recorder.answers[3]
    assert (len(answer.first), len(answer.final)) == (1, 3)
    assert (answer.first_s, answer.final_s) == (pytest.approx(0.1), pytest.approx(0.9))


def test_a_budget_over_a_minute_is_the_rate_and_one_burst() -> None:
    assert allowed_kb(None) is None
    assert allowed_kb(BudgetSettings(cloud_per_s=1.0)) is None
    assert allowed_kb(BudgetSettings(kb_per_s=2.0, burst_s=5.0)) == 130.0
    assert allowed_kb(BudgetSettings(mb_per_day=86.4, burst_s=10.0)) == pytest.approx(70.0)


@pytest.mark.anyio
async def test_a_standard_of_some_frames_keeps_their_order(
    clip: Path, light: Path, heavy: Path
) -> None:
    comparison = await price(
        plan(clip, max_frames=4),
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
    )
    part = only(comparison.standard, [0, 2, 3])
    assert len(part) == 3
    assert part.sequences == [comparison.standard.sequences[i] for i in (0, 2, 3)]
    assert not part.has_truth
