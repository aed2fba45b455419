"""`secondlook bench links`: what is played, what is heard, and what is found wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, generate_latest
from rich.console import Console

from secondlook.cli.bench.links.document import document_of
from secondlook.cli.bench.links.heard import Heard, Log, Scrape, read_log
from secondlook.cli.bench.links.outcome import LinkOutcome, outcome_of
from secondlook.cli.bench.links.plan import (
    SCENES,
    Camera,
    Plan,
    cloud_settings,
    edge_settings,
    given,
    link_for,
    scenes,
)
from secondlook.cli.bench.links.report import show
from secondlook.cli.bench.links.run import CpuUsed, Recorded
from secondlook.cli.bench.links.truth import Quality, quality
from secondlook.cli.trust.gathering import Standing
from secondlook.cloud.settings import CloudSettings
from secondlook.edge.settings import EdgeSettings
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure import LINKS, Passed, Traffic
from secondlook.shared.memory.kinds import TrustWindow
from secondlook.shared.settings import load
from secondlook.shared.sim import StreetConfig

PLAN = Plan(link_for("outage", 100.0), 100.0, (Camera("gate", "sim://street"),), 2.0, 10.0)


def test_the_cameras_are_all_different_and_come_again_as_other_streets(tmp_path: Path) -> None:
    found = scenes(10, 2.0, tmp_path)
    assert [camera.name for camera in found] == [*SCENES, "street2", "yard2"]
    assert len({camera.url for camera in found}) == 10
    for camera in found:
        if camera.simulated:
            assert StreetConfig.from_url(camera.url).fps == 2.0
        else:
            pictures = sorted(Path(camera.url).iterdir())
            assert len({picture.read_bytes() for picture in pictures}) == 3 < len(pictures)
    assert StreetConfig.from_url(found[8].url).seed == StreetConfig.from_url(found[0].url).seed + 1


def test_cameras_of_ones_own_have_names() -> None:
    assert given(["road=a=b.mp4"]) == (Camera("road", "a=b.mp4"),)
    for wrong in ("clip.mp4", "a b=clip.mp4"):
        with pytest.raises(InvalidInput, match="ID=URL"):
            given([wrong])
    with pytest.raises(InvalidInput, match="no camera"):
        scenes(0, 1.0, Path())


def test_the_outage_leaves_more_time_after_it_than_before() -> None:
    long, short = link_for("outage", 150.0), link_for("outage", 60.0)
    assert (long.down_from_s, long.down_for_s) == (30.0, 60.0)
    assert (short.down_from_s, short.down_for_s) == (10.0, 30.0)
    assert long.up_kbit_s == LINKS["4g"].up_kbit_s
    assert link_for("5g", 60.0) == LINKS["5g"]


def test_the_settings_are_what_they_mean_to_the_real_parsers(tmp_path: Path) -> None:
    clips = (*scenes(5, 2.0, tmp_path / "pictures"), Camera("road", "highway.avi"))
    plan = replace(PLAN, cameras=clips, promise=True, carrier="mosaic")
    cloud, edge = tmp_path / "cloud.toml", tmp_path / "edge.toml"
    cloud.write_text(cloud_settings(plan))
    edge.write_text(edge_settings(plan, "127.0.0.1:1234", tmp_path / 'x "y"'))
    assert load(CloudSettings, "cloud", cloud, {}).models[0].path == "zoo:street_heavy"
    said = load(EdgeSettings, "edge", edge, {})
    assert [camera.id for camera in said.cameras] == [camera.name for camera in clips]
    assert {camera.id: camera.loop for camera in said.cameras if camera.loop} == {
        "still": True,
        "road": True,
    }
    assert said.budget.bytes_per_s == 10_000
    assert said.trust.enforce
    assert said.memory.path == tmp_path / 'x "y"' / "memory.db"


def event(sequence: int, kind: str = "answer", camera: str = "gate", **more: Any) -> bytes:
    said = {
        "type": kind,
        "camera": camera,
        "sequence": sequence,
        "captured_at": 1000.0 + sequence / 2,
        "latency_s": 0.05,
        "detections": [],
        "decision": {"purpose": "unsure", "reasons": [], "regions": [], **more},
    }
    return json.dumps(said).encode()


def test_events_are_counted() -> None:
    heard = Heard()
    heard.take(event(0, regions=[[0, 0, 8, 8]], purpose="audit"))
    heard.take(event(1, reasons=["2 more are unsure; budget 4 KB/s, 0.1 KB free now"]))
    heard.take(event(2, camera="yard"))
    heard.take(event(0, "revision"))
    gate = heard.cameras["gate"]
    assert (heard.answers, gate.dear, gate.purposes["audit"]) == (3, 1, 1)
    assert gate.captured_at == [1000.0, 1000.5]
    assert gate.revised_at == [1000.05]
    assert gate.playback.revisions == 1


LOG = [
    "not JSON",
    {"event": "status", "budget": "bytes", "camera": "gate", "per_s": 2000.0, "why": "its part"},
    {"event": "status", "budget": "inferences", "camera": "gate", "per_s": 2.0, "why": "no"},
    {"event": "status", "camera": "gate", "answers": 5},
    {"event": "done", "camera": "gate", "answers": 9, "budget": "SLO_INFEASIBLE: much"},
    {"event": "outage: the cloud cannot be asked", "level": "warning"},
    {"event": "outage over", "lasted_s": 61.5},
    {"event": "trust has changed", "camera": "gate", "after": "uncertified", "reasons": ["cut"]},
]


def test_the_log_is_read() -> None:
    log = read_log(line if isinstance(line, str) else json.dumps(line) for line in LOG)
    assert log.shares == {"gate": [(2.0, "its part")]}
    assert log.last["gate"]["answers"] == 9
    assert log.outages == [61.5]
    assert log.changes == [("gate", "uncertified", "cut")]
    assert log.problems == {"outage: the cloud cannot be asked": 1}


def scraped(**changes: float) -> Scrape:
    """Metrics of a run in which all went well, and changes to them."""
    values = {
        "capture_frames": 200,
        "capture_dropped_frames": 0,
        "answers": 200,
        "trust_lost_audits": 0,
        "budget_spent": 300_000,
        **{name: value for name, value in changes.items() if not name.startswith("fate_")},
    }
    registry = CollectorRegistry()
    for name, value in values.items():
        labels = {"camera": "gate"}
        if name == "budget_spent":
            labels |= {"resource": "bytes", "purpose": "unsure"}
        made = Counter(f"secondlook_edge_{name}", "x", list(labels), registry=registry)
        made.labels(**labels).inc(value)
    fate = Counter("secondlook_edge_spool_fate", "x", ["fate"], registry=registry)
    for name, value in {"fate_stored": 3, "fate_taken": 2, **changes}.items():
        if name.startswith("fate_"):
            fate.labels(name.removeprefix("fate_")).inc(value)
    price = Gauge("secondlook_edge_budget_price", "x", ["camera", "resource"], registry=registry)
    price.labels("gate", "bytes").set(0.25)
    states = ["learning", "uncertified"]
    Enum("secondlook_edge_unused", "x", states=states, registry=registry)
    trust = Gauge("secondlook_edge_trust_state", "x", ["camera", "state"], registry=registry)
    for state in states:
        trust.labels("gate", state).set(state == "uncertified")
    return Scrape(generate_latest(registry).decode())


def window(spoilt: str) -> TrustWindow:
    return TrustWindow(
        started_s=1000.0,
        at_s=1090.0,
        alpha=0.01,
        delta=0.05,
        gate="g",
        model="m",
        model_version="1",
        thresholds=(0.0, 1.0),
        misses=(0, 0),
        known_misses=(0, 0),
        spoilt=spoilt,
    )


def recorded(**changes: Any) -> Recorded:
    """A run in which all went well, and changes to it."""
    heard = Heard()
    for sequence in range(200):
        audited = sequence in (5, 40, 41, 50)
        asked: dict[str, Any] = {"regions": [[0, 0, 8, 8]], "purpose": "audit"}
        heard.take(event(sequence, **(asked if audited else {})))
    heard.take(event(180, "revision"))
    # One audit at once, three during the outage: two were sent since, one still waits.
    done = {
        "answers": 200,
        "escalations": 11,
        "audits": 1,
        "verdicts": 12,
        "late_verdicts": 2,
        "lost": 1,
        "spooled": 3,
        "offline": 4,
        "unpaid": 0,
        "revisions": 1,
    }
    log = Log(last={"gate": done}, outages=[62.0])
    log.shares["gate"] = [(8.0, "its fair part"), (10.0, "all that it asks for")]
    log.shares["gate"].append((9.0, "its fair part"))
    run = Recorded(
        plan=PLAN,
        heard=heard,
        log=log,
        scraped=scraped(),
        held=[(10.0, 0), (50.0, 3)],
        cpu=[CpuUsed(float(at), 0.1 * at, 0.05 * at) for at in range(10, 112, 2)],
        up=[Passed(at, 9000) for at in range(10, 110)],
        down=[Passed(10.0, 500)],
        traffic=Traffic(up=900_000, down=500, connections=2),
        began_s=10.0,
        began_at=1000.0,
        ended_s=110.0,
        standings={"gate": Standing("default/gate", (window("the cloud was away"),), None)},
        left=1,
    )
    return replace(run, **changes)


def found(**changes: Any) -> LinkOutcome:
    return outcome_of(recorded(**changes), [Quality(0.8, 0.9, 10)])


def test_a_run_in_which_all_went_well() -> None:
    result = found()
    assert result.broken == ()
    (one,) = result.cameras
    assert (one.answered, one.in_hand, one.audits_decided) == (200, 0, 4)
    assert one.fps == pytest.approx(2.0)
    assert (one.spent_kb_per_s, one.granted_kb_per_s) == (3.0, 9.0)
    assert (one.why, one.trust, one.spoilt) == (
        "its fair part",
        "uncertified",
        ("the cloud was away",),
    )
    assert [phase.name for phase in result.phases] == ["before", "cut", "after"]
    assert [round(phase.fps, 1) for phase in result.phases] == [2.0, 2.0, 2.0]
    assert [phase.revisions for phase in result.phases] == [0, 0, 1]
    assert [round(phase.cores, 2) for phase in result.phases] == [0.15, 0.15, 0.15]
    assert result.phases[1].cpu_ms == pytest.approx(50, rel=0.1)
    assert result.most[60.0] == 540_000
    assert json.loads(json.dumps(document_of(result)))["broken"] == []
    assert result.remarks == ("1 questions wait on disk for the next run",)


def test_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show(found(), Console(width=200))
    said = capsys.readouterr().out
    assert "its fair part; 4 not asked while the cloud was away; 1 without a verdict" in said
    assert "most within any 60 s: 540.0 of 700.0 KB" in said
    assert "outage noticed for 62 s; 3 questions went to the disk, 3 at most; 2 of them" in said
    assert "all of it holds" in said


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a burst": (
        {"up": [*(Passed(at, 9000) for at in range(10, 100)), Passed(100.0, 300_000)]},
        "831.0 KB went up within 60 s, the bucket allows 700.0",
    ),
    "an unanswered frame": (
        {"scraped": scraped(answers=197)},
        "gate: 3 captured frames without an answer",
    ),
    "a lost audit": ({"scraped": scraped(trust_lost_audits=2)}, "gate: 2 audits were lost"),
    "a torn file": ({"scraped": scraped(fate_corrupt=1)}, "1 questions on disk were corrupt"),
    "a file too many": (
        {"left": 3},
        "3 questions went to the disk, 5 were sent or are still there",
    ),
    "no mark": ({"standings": {}}, "gate: no window of trust is marked uncertified"),
    "not noticed": ({"log": replace(recorded().log, outages=[])}, "did not notice"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_hold_is_said(name: str) -> None:
    changes, expected = BAD[name]
    broken = found(**changes).broken
    assert any(expected in problem for problem in broken), broken


def test_a_question_without_an_end_is_said() -> None:
    run = recorded()
    run.log.last["gate"]["lost"] = 0
    assert outcome_of(run, [None]).broken == ("gate: 11 questions were asked, 10 came to an end",)


def test_a_frame_that_is_answered_twice_is_said() -> None:
    run = recorded()
    run.heard.take(event(199))
    assert outcome_of(run, [None]).broken == ("gate: 1 frames were answered twice",)


def test_a_rate_that_was_not_kept_is_a_remark_and_no_fault() -> None:
    heard = Heard()
    for sequence in range(0, 200, 2):
        heard.take(event(sequence))
    run = replace(
        recorded(),
        plan=replace(PLAN, link=LINKS["4g"]),
        heard=heard,
        scraped=scraped(capture_frames=100, answers=100, capture_dropped_frames=100),
        left=0,
    )
    run.log.last["gate"] |= {"escalations": 0, "verdicts": 0, "late_verdicts": 0, "lost": 0}
    run.log.last["gate"] |= {"spooled": 0, "audits": 0}
    result = outcome_of(run, [None])
    assert result.broken == ()
    (remark,) = result.remarks
    assert "gate: this machine kept 1.00 of 2 frames a second, 100 were dropped" in remark


def test_answers_are_compared_with_the_truth_where_it_is_known() -> None:
    heard = Heard()
    for sequence in range(4):
        heard.take(event(sequence))
    street = Camera("gate", "sim://street?seed=7&size=320x180&hour=12", simulated=True)
    result = quality(street, heard.cameras["gate"], 2)
    assert result is not None
    assert (result.frames, result.first, result.final) == (2, 0.0, 0.0), "it said nothing"
    assert quality(replace(street, simulated=False), heard.cameras["gate"], 2) is None
    assert quality(street, heard.cameras["gate"], 0) is None
