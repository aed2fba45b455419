"""Options of `secondlook edge run` become settings."""

from __future__ import annotations

from click.testing import CliRunner

from secondlook.cli.edge import _variables, edge
from secondlook.edge.settings import EdgeSettings
from secondlook.shared.settings import load


def _settings(*cameras: str, **options: object) -> EdgeSettings:
    given = {
        "model": None,
        "cloud": None,
        "no_cloud": False,
        "jsonl": None,
        "metrics_port": None,
        **options,
    }
    return load(EdgeSettings, "edge", None, _variables(cameras, **given))


def test_cameras_are_named_or_numbered() -> None:
    url = "rtsp://user:secret@10.0.0.7/stream?a=b"
    settings = _settings(f"site/gate={url}", "clip.mp4", "sim://street?seed=7")
    assert [(camera.id, camera.url) for camera in settings.cameras] == [
        ("site/gate", url),
        ("camera2", "clip.mp4"),
        ("camera3", "sim://street?seed=7"),
    ]


def test_options_win_over_defaults() -> None:
    settings = _settings(
        "clip.mp4", model='a"b.onnx', cloud="127.0.0.1:7", jsonl="-", metrics_port=9
    )
    assert settings.detector.model == 'a"b.onnx'
    assert settings.uplink.address == "127.0.0.1:7"
    assert settings.sinks.jsonl[0].path == "-"
    assert settings.metrics.port == 9
    assert not _settings("clip.mp4", no_cloud=True).uplink.enabled


def test_help_shows_examples_without_importing_the_daemon() -> None:
    result = CliRunner().invoke(edge, ["run", "--help"])
    assert result.exit_code == 0
    assert "secondlook edge run --config edge.toml" in result.output
