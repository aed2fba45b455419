"""The real commands: a camera, an edge, a cloud, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
from support.clips import write_clip
from support.cloud import cloud_process
from support.edge import edge_process
from support.networks import NAMES, blank, paint, write_bright_spot_model

FRAMES = 24
Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip, a light model that is unsure and confuses classes, and a heavy one that knows."""
    where = tmp_path_factory.mktemp("edge")
    write_bright_spot_model(where / "light.onnx", gain=0.3, answers=(0, 0, 2))
    write_bright_spot_model(where / "heavy.onnx")

    def picture(number: int) -> Any:
        image = blank(320, 240)
        paint(image, (40 + 3 * number, 60, 120 + 3 * number, 140), "car", score=0.9)
        return image

    write_clip(where / "road.mp4", (picture(n) for n in range(FRAMES)), fps=10)
    return where


def _settings(tmp_path: Path, folder: Path, text: str) -> str:
    file = tmp_path / "edge.toml"
    file.write_text(
        f'[detector]\nmodel = "{folder / "light.onnx"}"\nthreads = 1\n'
        f"[trust]\naudit_rate = 0.0\n[fusion]\npublish_probability = 0.05\n{text}"
    )
    return str(file)


def _camera(folder: Path, name: str = "road", clip: str = "road.mp4", **more: str) -> str:
    said = {"id": f'"{name}"', "url": f'"{folder / clip}"', "pacing": '"asap"', **more}
    return "[[cameras]]\n" + "".join(f"{key} = {value}\n" for key, value in said.items())


def _answers(said: Documents, camera: str = "road") -> Documents:
    return [line for line in said if line["type"] == "answer" and line["camera"] == camera]


def _revisions(said: Documents) -> Documents:
    return [line for line in said if line["type"] == "revision"]


def test_answers_come_at_once_and_the_cloud_corrects_them(folder: Path, tmp_path: Path) -> None:
    model = ("--model", str(folder / "heavy.onnx"), "--port", "0", "--memory", "sqlite:///m.db")
    with cloud_process(tmp_path, *model) as cloud:
        video = f'[[sinks.video]]\npath = "{tmp_path / "{camera}.mp4"}"\n'
        once = "[gate]\nwaiting_factor = 1000.0\n"
        settings = _settings(tmp_path, folder, video + once + _camera(folder))
        address = f"127.0.0.1:{cloud.port}"
        with edge_process(tmp_path, "--config", settings, "--cloud", address) as edge:
            assert edge.wait() == 0, edge.log.read_text()
            said = edge.documents()
        assert cloud.terminate() == 0
    answers = _answers(said)
    assert [line["sequence"] for line in answers] == list(range(FRAMES))
    assert answers[0]["detections"][0]["class"] == NAMES[0], "the light model confuses the class"
    final = {line["sequence"]: line for line in said}
    assert _revisions(said)
    for line in final.values():
        (box,) = line["detections"]
        assert box["class"] == "car"
        assert box["score"] > 0.5
    assert len({line["detections"][0]["track"] for line in final.values()}) == 1
    asked = [line for line in answers if line["decision"]["escalate"]]
    assert asked[0]["decision"]["regions"] == [[0, 0, 320, 240]]
    assert len(asked) < FRAMES / 2, "a verdict is not asked for twice"
    with av.open(str(tmp_path / "road.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_a_camera_that_is_missing_is_named_and_the_other_is_served(
    folder: Path, tmp_path: Path
) -> None:
    cameras = _camera(folder) + _camera(folder, "gone", "gone.mp4")
    settings = _settings(tmp_path, folder, cameras)
    with edge_process(tmp_path, "--config", settings, "--no-cloud") as edge:
        assert edge.wait() == 4, edge.log.read_text()
        said = edge.documents()
    assert len(_answers(said)) == FRAMES
    last = edge.log.read_text().strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "gone.mp4" in last


def test_a_signal_drains_and_metrics_are_served_until_then(folder: Path, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    settings = _settings(tmp_path, folder, _camera(folder, loop="true", pacing='"realtime"'))
    arguments = ("--config", settings, "--no-cloud", "--ready-file", str(ready))
    with edge_process(tmp_path, *arguments) as edge:
        edge.until(lambda said: len(_answers(said)) >= 3)
        port = json.loads(ready.read_text())["metrics_port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
            assert 'secondlook_edge_answers_total{camera="road"}' in page.read().decode()
        assert edge.terminate() == 0, edge.log.read_text()
    assert "draining" in edge.log.read_text()


def test_a_model_that_is_none_and_settings_with_a_typo_are_told(
    folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    typo = tmp_path / "typo.toml"
    typo.write_text(_camera(folder) + "[gate]\ntreshold = 0.5\n")
    cases: dict[str, tuple[str, ...]] = {
        "broken.onnx": ("--camera", str(folder / "road.mp4"), "--model", str(broken)),
        "gate.treshold": ("--config", str(typo)),
        "cameras": (),
    }
    with contextlib.ExitStack() as stack:
        edges = {}
        for i, (told, arguments) in enumerate(cases.items()):
            where = tmp_path / str(i)
            where.mkdir()
            edges[told] = stack.enter_context(edge_process(where, *arguments))
        for told, edge in edges.items():
            assert edge.wait() == 2
            last = edge.log.read_text().strip().splitlines()[-1]
            assert last.startswith("error: ")
            assert told in last


def test_a_cloud_that_is_killed_stops_no_answer_and_verdicts_resume(
    folder: Path, tmp_path: Path
) -> None:
    model = ("--model", str(folder / "heavy.onnx"), "--memory", "sqlite:///m.db", "--port")
    # Everything is doubted all the time, so that there is always something to ask.
    text = (
        "[gate]\nthreshold = 0.001\nagain_factor = 1.0\nagain_s = 0.0\n"
        "[uplink]\nreconnect_max_s = 0.2\n"
    )
    settings = _settings(tmp_path, folder, text + _camera(folder, loop="true"))

    def more(count: int, of: Callable[[Documents], Documents], edge: Any) -> Documents:
        before = len(of(edge.documents()))
        said: Documents = edge.until(lambda said: len(of(said)) >= before + count)
        return said

    with cloud_process(tmp_path, *model, "0") as cloud:
        address = ("--cloud", f"127.0.0.1:{cloud.port}")
        with edge_process(tmp_path, "--config", settings, *address) as edge:
            more(3, _revisions, edge)
            cloud.kill()
            more(60, _answers, edge)
            alone = len(_revisions(edge.documents()))
            more(60, _answers, edge)
            assert len(_revisions(edge.documents())) == alone, "nobody was there to correct"
            with cloud_process(tmp_path, *model, str(cloud.port)):
                more(3, _revisions, edge)
                assert edge.terminate() == 0, edge.log.read_text()
            said = edge.documents()
    sequences = [line["sequence"] for line in _answers(said)]
    assert sequences == list(range(len(sequences))), "a frame went without an answer"
