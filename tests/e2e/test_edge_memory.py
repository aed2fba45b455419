"""What the edge remembers, with the real commands: killed, alone, and beside another edge."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.clips import write_clip
from support.cloud import cloud_process
from support.edge import EdgeProcess, edge_process
from support.networks import blank, paint, write_bright_spot_model

from secondlook.shared.memory import SqliteStore
from secondlook.shared.memory.kinds import TrackVerdict

pytestmark = pytest.mark.anyio

CAR = (40, 60, 120, 140)
GHOST = (220, 40, 270, 90)
FOR_LONG = "again_factor = 100.0\n"
NOT_FOR_LONG = "threshold = 0.001\nagain_factor = 1.0\nagain_s = 0.1\n"
Documents = list[dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A street where nothing moves, a light model that calls the car a person, and a heavy one.

    The heavy model sees no object of score 0.5: the ghost.
    """
    where = tmp_path_factory.mktemp("memory")
    write_bright_spot_model(where / "light.onnx", gain=0.8, answers=(0, 0, 2))
    write_bright_spot_model(where / "heavy.onnx", gain=2.0, offset=-0.9)
    image = blank(320, 240)
    paint(image, CAR, "car", score=0.9)
    paint(image, GHOST, "bottle", score=0.5)
    write_clip(where / "yard.mp4", (image for _ in range(20)), fps=10)
    return where


def _settings(
    at: Path, folder: Path, camera: str, *, gate: str = FOR_LONG, memory: str = ""
) -> tuple[str, ...]:
    """Arguments of an edge whose memory is beside its settings."""
    at.mkdir(exist_ok=True)
    file = at / "edge.toml"
    file.write_text(
        f'[detector]\nmodel = "{folder / "light.onnx"}"\nthreads = 1\n'
        f"[trust]\naudit_rate = 0.0\n[gate]\n{gate}"
        "[uplink]\nreconnect_max_s = 0.2\n"
        f'[memory]\npath = "{at / "memory.db"}"\nsettle_s = 0.2\nwrite_every_s = 0.05\n'
        f"false_positive_after_s = 0.5\n{memory}"
        "[memory.sync]\npoll_s = 0.2\ngather_s = 0.05\nbackoff_max_s = 1.0\n"
        f'[[cameras]]\nid = "{camera}"\nurl = "{folder / "yard.mp4"}"\nloop = true\n'
    )
    return ("--config", str(file))


def _ids(file: Path) -> list[str]:
    """Ids of the records that stand in a store that another process has open."""
    if not file.exists():
        return []
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        try:
            rows = db.execute("SELECT id FROM records WHERE NOT deleted").fetchall()
        except sqlite3.OperationalError:
            return []
    return [row[0] for row in rows]


def _has(file: Path, part: str, count: int = 1) -> Callable[[], bool]:
    return lambda: sum(part in record_id for record_id in _ids(file)) >= count


def _cloud(tmp_path: Path, folder: Path, port: int = 0) -> Any:
    model = ("--model", str(folder / "heavy.onnx"), "--memory", "sqlite:///cloud.db")
    return cloud_process(tmp_path, *model, "--port", str(port))


def _answers(said: Documents) -> Documents:
    return [line for line in said if line["type"] == "answer"]


def _asked(said: Documents) -> list[list[int]]:
    """The regions asked about."""
    return [
        region
        for line in _answers(said)
        if line["decision"]["escalate"]
        for region in line["decision"]["regions"]
    ]


def _classes(line: dict[str, Any]) -> set[str]:
    return {box["class"] for box in line["detections"]}


def _killed(edge: EdgeProcess) -> None:
    edge.process.kill()
    edge.process.wait()
    edge.lines.unlink()


def test_an_edge_that_is_killed_asks_nothing_again_that_it_knew(
    folder: Path, tmp_path: Path
) -> None:
    with _cloud(tmp_path, folder) as cloud:
        address = ("--cloud", f"127.0.0.1:{cloud.port}")
        said: dict[str, Documents] = {}
        for name, memory in (("with", ""), ("without", "enabled = false\n")):
            at = tmp_path / name
            arguments = (*_settings(at, folder, "yard/one", memory=memory), *address)
            with edge_process(at, *arguments) as edge:
                edge.until(lambda said: any(line["type"] == "revision" for line in said))
                if not memory:
                    edge.until_true(_has(at / "memory.db", "/verdict/", 2))
                    edge.until_true(_has(at / "memory.db", "/gate/320x240"))
                _killed(edge)
            with edge_process(at, *arguments, "--max-frames", "20") as edge:
                assert edge.wait() == 0, edge.log.read_text()
                said[name] = edge.documents()
    assert _asked(said["without"]) != []
    assert _asked(said["with"]) == [], "everything was known"
    for line in _answers(said["with"]):
        assert _classes(line) == {"car"}, "from the first frame on, as the cloud said"
    assert _classes(_answers(said["without"])[0]) == {"person", "bottle"}


def test_a_known_false_positive_stays_away_after_the_edge_was_killed(
    folder: Path, tmp_path: Path
) -> None:
    at = tmp_path / "edge"
    with _cloud(tmp_path, folder) as cloud:
        arguments = (
            *_settings(at, folder, "yard/one", gate=NOT_FOR_LONG),
            *("--cloud", f"127.0.0.1:{cloud.port}"),
        )
        with edge_process(at, *arguments) as edge:
            edge.until_true(_has(at / "memory.db", "/false-positive/"))
            _killed(edge)
        with edge_process(at, *arguments, "--max-frames", "30") as edge:
            assert edge.wait() == 0, edge.log.read_text()
            said = edge.documents()
    for line in said:
        assert "bottle" not in _classes(line)
    decisions = [line["decision"] for line in _answers(said)]
    why = [reason for made in decisions if made["escalate"] for reason in made["reasons"]]
    assert any("car" in reason for reason in why), "the car is doubted again and again"
    # It may lie in a picture that is sent for something else.
    assert not any("bottle" in reason for reason in why), "nobody asks about the ghost"


def test_what_an_edge_learns_alone_waits_and_is_sent_when_the_cloud_is_there(
    folder: Path, tmp_path: Path
) -> None:
    with _cloud(tmp_path, folder) as cloud:
        port = cloud.port
        assert cloud.terminate() == 0
    at = tmp_path / "edge"
    # A camera without a site is of the site "default".
    arguments = _settings(at, folder, "one", memory="prior_every_s = 0.5\n")
    with edge_process(at, *arguments, "--cloud", f"127.0.0.1:{port}") as edge:
        edge.until_true(_has(at / "memory.db", "/scene/"))
        assert not _has(tmp_path / "cloud.db", "/scene/")()
        answered = len(_answers(edge.documents()))
        edge.until(lambda said: len(_answers(said)) > answered + 5)
        with _cloud(tmp_path, folder, port):
            edge.until_true(_has(tmp_path / "cloud.db", "default/one/scene/320x240"))
            assert edge.terminate() == 0, edge.log.read_text()
    said = edge.log.read_text()
    assert "memory is not synchronised" in said


async def test_another_edge_of_the_site_reads_the_verdict_in_its_own_store(
    folder: Path, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with _cloud(tmp_path, folder) as cloud:
        address = ("--cloud", f"127.0.0.1:{cloud.port}")
        with edge_process(one, *_settings(one, folder, "yard/one"), *address) as first:
            first.until_true(_has(tmp_path / "cloud.db", "yard/one/verdict/"))
            assert first.terminate() == 0, first.log.read_text()
        with edge_process(two, *_settings(two, folder, "yard/two"), *address) as second:
            second.until_true(_has(two / "memory.db", "yard/one/verdict/"))
            assert second.terminate() == 0, second.log.read_text()
        with edge_process(two, *_settings(two, folder, "elsewhere/three"), *address) as third:
            third.until(lambda said: len(_answers(said)) > 5)
            assert third.terminate() == 0, third.log.read_text()
    store = await SqliteStore.open(two / "memory.db")
    page = await store.changes("yard/one/verdict/", 0, 100)
    await store.close()
    verdicts = [TrackVerdict.of(record.data) for record in page.records if not record.deleted]
    assert {(said.class_name, said.refuted) for said in verdicts} == {
        ("car", False),
        ("bottle", True),
    }
