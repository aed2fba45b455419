"""The self-test of a site in `secondlook price`: what it chose, when and why, and what it took."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from support.edge import NAMES
from support.sites import restless

from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.outcome import outcome_of
from secondlook.cli.price.second_look import SecondLook
from secondlook.cli.price.system import Shot
from secondlook.cli.price.ways import way_tables
from secondlook.edge.carrier import CanvasEncoder
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.selftest.agreement import put_right
from secondlook.shared.clock import ManualClock
from secondlook.shared.measure import CountingProxy, Metric, Traffic
from secondlook.shared.values import Detections, Escalation, Frame, Verdict

pytestmark = pytest.mark.anyio


class Way(CountingProxy):
    """A way to the cloud that is told what has passed."""

    def __init__(self) -> None:
        super().__init__("127.0.0.1", 1)
        self.up = 0

    @property
    def traffic(self) -> Traffic:
        return Traffic(up=self.up)


class Cloud:
    """Sees what is really there, in the regions it is shown; each question takes its picture."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self.asked: list[Escalation] = []

    async def ask(self, escalation: Escalation) -> Verdict:
        self.asked.append(escalation)
        self._way.up += len(escalation.image)
        heavy = restless(escalation.sequence)[2]
        places = np.array([region.xyxy for region in escalation.regions], np.float32)
        return Verdict(
            escalation.request_id,
            escalation.camera,
            escalation.sequence,
            escalation.regions,
            put_right(Detections.empty(heavy.names), heavy, places),
            "heavy",
            "1",
            escalation.purpose,
        )


async def play(frames: int, **sections: Any) -> tuple[SecondLook, Cloud]:
    """Frames of a restless site, one a second."""
    settings = PipelineSettings.model_validate(
        {
            "trust": {"audit_rate": 0.5},
            "selftest": {
                "min_audits": 30,
                "probe_every_s": 20.0,
                "probe_frames": 3,
                "probe_share": 10.0,
                "price": 1e-6,
            },
            "misses": {"blob_loss": 0},
            "gate": {"classes": ()},
            "canvas": {"effort": "quick"},
            **sections,
        }
    )
    clock, way = ManualClock(), Way()
    cloud = Cloud(way)
    carrier = CanvasEncoder(settings.canvas)
    pipeline = CameraPipeline("price", settings, NAMES, clock, carrier=carrier)
    system = SecondLook(pipeline, way, cloud, clock.monotonic, verdict_latency_s=0.1)
    for n in range(frames):
        image, light, _ = restless(n)
        frame = Frame.of(
            image, camera="clip", sequence=n, captured_s=float(n), captured_at=1.7e9 + n
        )
        await system.see(Shot(n, frame, float(n), light, 0.0))
    await system.finish()
    return system, cloud


async def test_the_way_that_pays_is_taken_shown_and_paid_for() -> None:
    system, cloud = await play(120)
    log = system.ledger.ways
    assert log is not None
    assert (log.began, log.standing.mode, log.standing.settled) == ("canvas", "full", True)
    (change,) = log.changes
    assert (change.before, change.after) == ("canvas", "full")
    assert change.frame == change.media_s > 30
    assert "whole frames are worth" in change.reasons[0]
    # From then on every frame goes whole.
    later = {one.sequence for one in cloud.asked if one.whole_frame}
    assert later >= set(range(change.frame + 1, 120))
    # What was asked a second time is counted by itself, and with the rest.
    again = [one for one in cloud.asked if one.request_id.endswith("-again")]
    assert log.second_looks == len(again) >= 10
    assert log.second_bytes == sum(len(one.image) for one in again)
    assert system.ledger.traffic.up == sum(len(one.image) for one in cloud.asked)
    assert system.ledger.inferences == len(cloud.asked)


async def test_what_happened_is_in_the_json_and_in_the_table() -> None:
    system, _ = await play(120)
    heavy = [restless(n)[2] for n in range(120)]
    standard = Standard(heavy, media_s=[float(n) for n in range(120)])
    outcome = outcome_of(system.ledger, standard, Metric(None))
    assert outcome.ways is not None
    said = json.loads(json.dumps(outcome.as_json()))["selftest"]
    assert (said["began"], said["way"], said["settled"]) == ("canvas", "full", True)
    assert said["changes"][0]["after"] == "full"
    assert said["bytes_per_s"]["full"] > 0
    assert said["looked_twice_kb"] > 0
    (table,) = way_tables([("Secondlook", outcome.ways)])
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(table)
    text = console.export_text()
    assert "self-test: full, settled" in text
    assert "looked at twice" in text
    assert f"{outcome.ways.changes[0].media_s:.1f}" in text


async def test_where_the_settings_name_the_way_there_is_nothing_to_show() -> None:
    system, _ = await play(3, regions={"carrier": "canvas"})
    assert system.ledger.ways is None
    standard = Standard([restless(n)[2] for n in range(3)], media_s=[0.0, 1.0, 2.0])
    outcome = outcome_of(system.ledger, standard, Metric(None))
    assert "selftest" not in outcome.as_json()


async def test_the_log_of_a_way_that_never_changed_says_how_it_stands() -> None:
    system, _ = await play(10)
    log = system.ledger.ways
    assert log is not None
    assert (log.began, log.changes) == ("canvas", [])
    assert "of the first 30 audits" in log.standing.reasons[0]
    (table,) = way_tables([("Secondlook", log)])
    assert len(table.rows) == 2
