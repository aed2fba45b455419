"""`secondlook bench edge` measures what it says."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.clips import write_clip
from support.networks import blank, paint, write_bright_spot_model

from secondlook.cli.bench.command import bench
from secondlook.cli.bench.edge_loop import STAGES, EdgeBench, measure
from secondlook.shared.errors import InvalidInput


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("bench")
    image = blank(320, 240)
    paint(image, (40, 60, 120, 140), "car", score=0.9)
    clip = write_clip(folder / "clip.mp4", [image] * 12, fps=10)
    return str(clip), str(write_bright_spot_model(folder / "light.onnx", gain=0.5))


def test_stages_add_up_to_the_whole(material: tuple[str, str], tmp_path: Path) -> None:
    clip, model = material
    out = tmp_path / "bench.json"
    arguments = ["edge", clip, "--model", model, "--frames", "8", "--warm-up", "2"]
    result = CliRunner().invoke(bench, [*arguments, "--json", str(out)])
    assert result.exit_code == 0, result.output
    assert "whole / (decode + network)" in result.output
    said = json.loads(out.read_text())
    assert said["frames"] == 8
    assert set(said["stages_ms"]) == {*STAGES, "whole"}
    parts = sum(said["stages_ms"][stage]["mean"] for stage in STAGES)
    assert 0 < parts <= said["stages_ms"]["whole"]["mean"] * 1.001
    assert said["ratio"] >= 1
    assert "tracker and gate" in result.output
    assert said["copied_bytes_per_frame"] >= 3 * 320 * 240, "a frame crosses a process border"


def test_a_clip_that_ends_before_it_is_warm_is_told(material: tuple[str, str]) -> None:
    clip, model = material
    with pytest.raises(InvalidInput, match="no more than 50 frames"):
        measure(clip, model, 5, 50, 10.0, 1)


def test_deciding_is_held_against_the_network_where_nothing_is_asked() -> None:
    seconds = {"network": [1.0, 9.0], "track": [0.1, 9.0], "gate": [0.2, 9.0], "encode": [0.0, 1.0]}
    assert EdgeBench("light", seconds=seconds).deciding_share == pytest.approx(0.3)
    seconds["encode"] = [1.0, 1.0]
    assert math.isnan(EdgeBench("light", seconds=seconds).deciding_share)
