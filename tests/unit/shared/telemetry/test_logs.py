import json

import pytest

from secondlook.shared.telemetry import bind, configure_logging, get_logger


def test_json_lines_carry_the_bound_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with bind(camera="a"):
        get_logger("edge").info("frame dropped", count=2)
    get_logger("edge").debug("not this")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    event = json.loads(line)
    assert {k: event[k] for k in ("event", "camera", "count", "level", "module")} == {
        "event": "frame dropped",
        "camera": "a",
        "count": 2,
        "level": "info",
        "module": "edge",
    }


def test_bound_fields_end_with_the_block(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with bind(camera="a"):
        pass
    get_logger("edge").info("after")
    assert "camera" not in json.loads(capsys.readouterr().err)
