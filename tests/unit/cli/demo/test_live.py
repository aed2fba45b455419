"""The settings that the demo writes are what it means, to the real parsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.cli.demo.live import Street, cloud_settings, edge_settings
from secondlook.cli.demo.run import DemoPlan
from secondlook.cloud.settings import CloudSettings
from secondlook.edge.capture.settings import Pacing
from secondlook.edge.settings import EdgeSettings
from secondlook.edge.uplink import Overflow
from secondlook.shared.settings import load
from secondlook.shared.sim import StreetConfig

STREET = Street("sim://street?seed=7&fps=10&frames=600", 5.0, 300, "zoo:light", 'a b/ü "x".onnx', 7)


def test_the_edge_plays_the_street_and_writes_what_the_demo_reads(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    out = tmp_path / 'out "1"'
    file.write_text(edge_settings(STREET, "127.0.0.1:1234", out))
    settings = load(EdgeSettings, "edge", file, {})
    (camera,) = settings.cameras
    assert (camera.url, camera.analysis_fps) == (STREET.url, 5.0)
    assert camera.pacing is Pacing.REALTIME
    assert camera.speed > 1
    assert camera.overflow is not None
    assert camera.overflow.value == "block"
    assert settings.detector.model == "zoo:light"
    assert settings.trust.seed == 7
    assert settings.uplink.address == "127.0.0.1:1234"
    assert settings.uplink.overflow is Overflow.BLOCK
    assert [sink.path for sink in settings.sinks.jsonl] == ["-", str(out / "events.jsonl")]
    assert settings.sinks.video[0].path == str(out / "annotated.mp4")


def test_the_cloud_serves_the_model_on_loopback_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "cloud.toml"
    file.write_text(cloud_settings(STREET))
    settings = load(CloudSettings, "cloud", file, {})
    assert settings.models[0].path == STREET.cloud_model
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 0)
    assert settings.memory.url == "sqlite:///:memory:"


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"), [(60, 5, 300), (6, 3, 18), (0.1, 5, 1), (2, 30, 60), (10, 0.5, 5)]
)
def test_the_camera_gives_as_many_frames_as_are_analysed(
    seconds: float, fps: float, frames: int
) -> None:
    street = DemoPlan(seconds, fps).street()
    config = StreetConfig.from_url(street.url)
    assert street.frames == frames
    assert config.frames is not None
    step = config.frames // frames
    assert config.fps == pytest.approx(fps * step)
    assert config.fps >= 9
