"""The whole comparison on a painted clip, with real decoding, encoding, RPC and counting."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from anyio import to_thread
from support.clips import write_clip
from support.networks import blank, paint
from support.pricing import with_audits

from secondlook.cli.price.models import load_model
from secondlook.cli.price.run import Comparison, Plan, price
from secondlook.shared.errors import InvalidInput, SourceError

pytestmark = pytest.mark.anyio

SYSTEMS = ["edge_only", "cloud_jpeg", "cloud_h264", "secondlook"]
NO_AUDITS = with_audits(0.0)


def painted(number: int) -> np.ndarray:
    """A car that moves."""
    image = blank(160, 96)
    paint(image, (8 + number, 8, 40 + number, 40), "car", score=1.0)
    return image


async def run(clip: str | Path, light: Path, heavy: Path, **plan: object) -> Comparison:
    """A comparison that never samples an audit."""
    return await price(
        Plan(str(clip), **{"analysis_fps": 10.0, "pipeline": NO_AUDITS, **plan}),
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
    )


async def test_the_systems_do_what_their_names_say(clip: Path, light: Path, heavy: Path) -> None:
    seen: list[int] = []
    comparison = await price(
        Plan(str(clip), analysis_fps=10.0, pipeline=NO_AUDITS),
        await to_thread.run_sync(load_model, str(light), "--edge-model"),
        await to_thread.run_sync(load_model, str(heavy), "--cloud-model"),
        on_frame=lambda done, _: seen.append(done),
    )
    assert seen == list(range(1, 13))
    outcomes = {o.name: o for o in comparison.outcomes()}
    assert list(outcomes) == SYSTEMS
    edge, jpeg, h264, ours = outcomes.values()
    # The light model knows the car, and not the person.
    assert edge.final.agreement.recall == 0.5
    assert edge.uplink_kb_per_frame == edge.escalations_per_frame == 0
    for cloud in (jpeg, h264):
        assert cloud.final.agreement.f1 == 1.0
        assert cloud.cloud_inferences_per_frame == cloud.escalations_per_frame == 1
        assert cloud.final.latency_s == cloud.first.latency_s
    # Secondlook asks, learns, and revises what it said before it knew.
    assert ours.final.agreement.f1 > max(ours.first.agreement.f1, edge.final.agreement.f1)
    assert edge.final.agreement.recall <= ours.first.agreement.recall < 1.0
    assert 0 < ours.cloud_inferences_per_frame < 1
    assert 0 < ours.uplink_kb_per_frame < jpeg.uplink_kb_per_frame
    assert h264.uplink_kb_per_frame < jpeg.uplink_kb_per_frame
    assert all(o.downlink_kb_per_frame > 0 and o.setup_kb > 0 for o in (jpeg, h264, ours))
    assert all(o.failures == 0 for o in outcomes.values())


async def test_the_json_has_every_key_that_was_promised(
    clip: Path, light: Path, heavy: Path
) -> None:
    data = (await run(clip, light, heavy, max_frames=3)).as_json()
    assert data["clip"] == str(clip)
    assert (data["frames"], data["analysis_fps"]) == (3, 10.0)
    assert data["duration_s"] == pytest.approx(0.3, abs=0.02)
    assert data["reference"]["model"] == "heavy"
    assert data["reference"]["min_score"] == 0.25
    assert data["metric"]["classes"] == ["person", "car", "bottle"]
    assert data["metric"]["dedupe_iou"] == 0.7
    assert [system["name"] for system in data["systems"]] == SYSTEMS
    for system in data["systems"]:
        assert {
            "uplink_kb_per_frame",
            "downlink_kb_per_frame",
            "escalations_per_frame",
            "cloud_inferences_per_frame",
            "uplink_kb_per_s",
        } <= set(system)
        for stage in ("first", "final"):
            assert set(system[stage]) == {
                "f1",
                "recall",
                "precision",
                "f1_all_classes",
                "p50_ms",
                "p95_ms",
            }


async def test_the_analysis_rate_is_of_the_clips_own_time(
    clip: Path, light: Path, heavy: Path
) -> None:
    comparison = await run(clip, light, heavy, analysis_fps=5.0)
    assert len(comparison.standard) == 6
    assert comparison.standard.duration_s == pytest.approx(1.2, abs=0.05)


async def test_a_simulated_street_brings_its_truth(light: Path, heavy: Path) -> None:
    comparison = await run("sim://street?seed=3&size=160x96", light, heavy, max_frames=3)
    assert comparison.standard.has_truth
    data = comparison.as_json()
    assert set(data["systems"][0]["final"]["truth"]) == {"f1", "recall", "precision"}
    assert data["systems"][3]["truth"]["gain_over_edge"] is not None


async def test_only_the_classes_asked_for_count(clip: Path, light: Path, heavy: Path) -> None:
    comparison = await run(clip, light, heavy, max_frames=2, classes=("car",))
    edge = comparison.outcomes()[0]
    assert edge.final.agreement.recall == 1.0
    assert edge.final.agreement_all.recall == 0.5


async def test_an_unknown_class_is_named_with_those_that_are_known(
    clip: Path, light: Path, heavy: Path
) -> None:
    with pytest.raises(InvalidInput, match=r"'cat'; both models know: bottle, car, person"):
        await run(clip, light, heavy, classes=("cat", "car"))


async def test_models_that_share_no_class_are_refused(
    clip: Path, light: Path, tmp_path: Path
) -> None:
    from support.networks import write_bright_spot_model

    other = write_bright_spot_model(tmp_path / "other.onnx", names=("cell", "dust"))
    with pytest.raises(InvalidInput, match="no class in common"):
        await run(clip, light, other)


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
async def test_what_is_no_clip_is_named(
    content: bytes, light: Path, heavy: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=re.escape("broken.mp4")):
        await run(path, light, heavy)


async def test_a_truncated_recording_is_priced_as_far_as_it_goes(
    light: Path, heavy: Path, tmp_path: Path
) -> None:
    whole = write_clip(tmp_path / "whole.avi", (painted(i) for i in range(20)), 10.0, "mjpeg")
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    comparison = await run(cut, light, heavy)
    assert 2 <= len(comparison.standard) < 20


async def test_a_header_that_lies_about_the_rate_can_be_overruled(
    clip: Path, light: Path, heavy: Path
) -> None:
    # 12 frames that say 10 a second; at 5 they last twice as long.
    comparison = await run(clip, light, heavy, analysis_fps=2.5, clip_fps=5.0)
    assert len(comparison.standard) == 6
    assert comparison.standard.duration_s == pytest.approx(2.4, abs=0.1)


async def test_no_frames_at_all_are_refused(clip: Path, light: Path, heavy: Path) -> None:
    with pytest.raises(InvalidInput, match="max_frames is 0"):
        await run(clip, light, heavy, max_frames=0)
