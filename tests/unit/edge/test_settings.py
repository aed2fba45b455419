"""Settings of the edge daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from secondlook.edge.settings import EdgeSettings
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.settings import load

CAMERA = '[[cameras]]\nid = "gate"\nurl = "clip.mp4"\n'


def _load(tmp_path: Path, text: str, **environ: str) -> EdgeSettings:
    file = tmp_path / "edge.toml"
    file.write_text(text)
    return load(EdgeSettings, "edge", file, environ)


def test_a_camera_is_all_that_must_be_said(tmp_path: Path) -> None:
    settings = _load(tmp_path, CAMERA)
    assert settings.detector.model == "zoo:street_light"
    assert settings.pipeline.gate == settings.gate
    assert settings.uplink.loopback


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    text = CAMERA + "[gate]\nthreshold = 0.6\n"
    settings = _load(tmp_path, text, SECONDLOOK_EDGE__GATE__THRESHOLD="0.9")
    assert settings.gate.threshold == 0.9


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "cameras"),
        ("cameras = []\n", "cameras"),
        (CAMERA + CAMERA, "used twice: gate"),
        ('[[cameras]]\nid = "a b"\nurl = "x"\n', r"cameras\.0\.id"),
        ('[[cameras]]\nid = "../etc"\nurl = "x"\n', r"cameras\.0\.id"),
        ('[[cameras]]\nid = "_site"\nurl = "x"\n', "_site is where the records of a site are"),
        ('[[cameras]]\nid = "yard/_site"\nurl = "x"\n', "_site is where the records of"),
        (CAMERA + 'pacing = "fast"\n', r"cameras\.0\.pacing"),
        (CAMERA + "[gate]\ntreshold = 0.5\n", r"gate\.treshold is not a setting.*threshold"),
        (CAMERA + "[gate]\nthreshold = 0.0\n", r"gate\.threshold"),
        (CAMERA + "[gate]\nagain_factor = 0.5\n", r"gate\.again_factor"),
        (CAMERA + "[fusion]\npublish_probability = 1.0\n", r"fusion\.publish_probability"),
        (CAMERA + '[uplink]\naddress = "cloud:1"\n', "allow_plaintext"),
        (CAMERA + "[uplink]\ntimeout_s = 0\n", r"uplink\.timeout_s"),
        (CAMERA + '[[sinks.video]]\npath = "x.gif"\n', r"sinks\.video\.0\.path"),
        (CAMERA + "[regions]\nquality = nan\n", r"regions\.quality"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidConfig, match=told):
        _load(tmp_path, text)


def test_every_field_is_described() -> None:
    def check(schema: dict, definitions: dict) -> int:
        fields = schema.get("properties", {})
        for name, field in fields.items():
            assert field.get("description"), name
        return len(fields)

    schema = EdgeSettings.model_json_schema()
    definitions = schema["$defs"]
    assert sum(check(part, definitions) for part in [schema, *definitions.values()]) > 60
