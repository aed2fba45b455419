"""Secondlook over an emulated link, in the clip's own time: how late are its answers?

The real daemon plays the clip as a camera would show it, and asks the real service through a
proxy that is a link (`secondlook.shared.measure.link`). Nothing is simulated but the link; the
heavy model takes what it takes on this machine, which also runs the light one.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import numpy as np
from prometheus_client import CollectorRegistry

from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import KB, WINDOW_S, Outcome, outcome_of
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.tiers import comparison_cloud
from secondlook.cli.price.witnesses import Recorder, TimedDetector
from secondlook.edge.capture.camera import CameraCapture
from secondlook.edge.control import BudgetSettings
from secondlook.edge.daemon import Daemon, Limits
from secondlook.edge.daemon.protocol import Capture
from secondlook.edge.gate.opening import open_gate
from secondlook.edge.settings import CameraSettings, EdgeSettings
from secondlook.shared.clock import SystemClock
from secondlook.shared.detect import Detector
from secondlook.shared.measure import (
    Link,
    LinkProxy,
    Metric,
    Spread,
    link_named,
    most_within,
    spread,
)

CAMERA = "price"


@dataclass(frozen=True, slots=True, eq=False)
class LinkRun:
    """What came out over one link.

    Attributes:
        link: what lay between.
        due: frames the clip has at this rate.
        answered: frames that were answered.
        outcome: Secondlook's numbers over the answered frames; latencies are from the moment a
            frame was due.
        revised: share of the answered frames that a verdict changed.
        revised_s: from capture to the last revision, of those.
        heavy_s: what the heavy model took for a picture on this machine: so much of each
            revision's latency is not the link's.
        lost: questions without a verdict.
        offline: questions not even asked, because the cloud could not be reached.
        unpaid: questions that the budget did not allow.
        most_kb: most that went up within any 60 s, set-up and all.
        budget_kb: most that the budget allows in 60 s; ``None`` without a budget.
    """

    link: Link
    due: int
    answered: int
    outcome: Outcome
    revised: float
    revised_s: Spread
    heavy_s: Spread
    lost: int
    offline: int
    unpaid: int
    most_kb: float
    budget_kb: float | None

    def as_json(self) -> dict[str, Any]:
        """As in the JSON."""
        link = self.link
        return {
            "link": link.name,
            "up_kbit_s": link.up_kbit_s,
            "down_kbit_s": link.down_kbit_s,
            "rtt_ms": link.rtt_s * 1000,
            "jitter_ms": link.jitter_s * 1000,
            "loss": link.loss,
            "outage_s": [link.down_from_s, link.down_for_s] if link.down_from_s else None,
            "source": link.source,
            "frames_due": self.due,
            "frames_answered": self.answered,
            "revised": round(self.revised, 4),
            "revised_p50_ms": _ms(self.revised_s.p50),
            "revised_p95_ms": _ms(self.revised_s.p95),
            "heavy_p50_ms": _ms(self.heavy_s.p50),
            "heavy_p95_ms": _ms(self.heavy_s.p95),
            "lost_questions": self.lost,
            "offline_questions": self.offline,
            "unpaid_questions": self.unpaid,
            "most_kb_in_60_s": round(self.most_kb, 3),
            "budget_kb_in_60_s": self.budget_kb,
            "secondlook": self.outcome.as_json(),
        }


async def play_over(
    plan: Plan,
    name: str,
    light: Detector,
    heavy: Detector,
    standard: Standard,
    metric: Metric,
    *,
    on_answer: Callable[[int], None] | None = None,
) -> LinkRun:
    """Play a clip in real time over a link.

    Args:
        plan: which clip, at which rate, with which settings.
        name: of the link (`link_named`).
        light: the edge's model; closed on return.
        heavy: the cloud's model; closed on return.
        standard: what the answers are held against, from a comparison of the same plan.
        metric: on the classes of interest.
        on_answer: called with the number of frames answered, now and then.

    Raises:
        InvalidInput: there is no such link.
        SecondlookError: the clip or a model failed.
    """
    link = link_named(name, standard.duration_s)
    recorder = Recorder()
    registry = CollectorRegistry()
    clock = SystemClock()
    timed = TimedDetector(heavy)

    def capture(camera: CameraSettings) -> Capture:
        return CameraCapture(camera.id, camera.url, camera, clock, registry)

    try:
        async with (
            _scratch() as scratch,
            comparison_cloud(timed) as cloud,
            LinkProxy("127.0.0.1", cloud.port, link, seed=plan.seed).running() as proxy,
        ):
            settings = daemon_settings(plan, proxy.target, scratch)
            gate = await anyio.to_thread.run_sync(open_gate, settings.pipeline, light.info)
            daemon = Daemon(settings, light, capture, clock, registry, sinks=[recorder], gate=gate)
            async with anyio.create_task_group() as tasks:
                if on_answer is not None:
                    tasks.start_soon(_watch, recorder, on_answer)
                await daemon.run(Limits(max_frames=len(standard)))
                tasks.cancel_scope.cancel()
            traffic, passed = proxy.traffic, list(proxy.sent_up)
    finally:
        light.close()
        heavy.close()
    status = daemon.statuses[0]
    rows = [i for i, number in enumerate(standard.sequences) if number in recorder.answers]
    answers = [recorder.answers[standard.sequences[i]] for i in rows]
    ledger = Ledger(
        "secondlook", answers, status.escalations, status.verdicts, status.lost, traffic
    )
    changed = [answer.final_s for answer in answers if answer.final is not answer.first]
    return LinkRun(
        link,
        len(standard),
        len(answers),
        outcome_of(ledger, only(standard, rows), metric),
        len(changed) / max(1, len(answers)),
        spread(changed),
        spread(timed.took_s),
        status.lost,
        status.offline,
        status.unpaid,
        most_within(passed, WINDOW_S) / KB,
        allowed_kb(plan.budget),
    )


def daemon_settings(plan: Plan, address: str, scratch: Path) -> EdgeSettings:
    """Settings of the daemon that plays the clip.

    Args:
        plan: what is played, and with which pipeline.
        address: of the cloud.
        scratch: a folder for what the daemon may want to keep.
    """
    pipeline = plan.pipeline.model_dump(exclude_unset=True)
    data: dict[str, Any] = {
        name: value
        for name, value in pipeline.items()
        if name in EdgeSettings.model_fields and name != "memory"
    }
    data |= {
        "cameras": [
            {
                "id": CAMERA,
                "url": plan.clip,
                "analysis_fps": plan.analysis_fps,
                "fps": plan.clip_fps,
                "pacing": "realtime",
                "overflow": "drop_oldest",
            }
        ],
        "uplink": {"address": address, "spool": {"path": str(scratch / "spool")}},
        "memory": {"enabled": False},
        "decisions": {"enabled": False},
        "metrics": {"enabled": False},
        "run": {"drain_timeout_s": 60.0},
    }
    if plan.budget is not None:
        data["budget"] = plan.budget.model_dump()
    return EdgeSettings.model_validate(data)


def only(standard: Standard, rows: Sequence[int]) -> Standard:
    """The standard of some of its frames, in order."""
    return Standard(
        [standard.references[i] for i in rows],
        [standard.truths[i] for i in rows] if standard.has_truth else [],
        [standard.ignores[i] for i in rows] if standard.has_truth else [],
        [standard.media_s[i] for i in rows],
        [standard.sequences[i] for i in rows],
        [standard.checks[i] for i in rows],
        standard.width,
        standard.height,
    )


def allowed_kb(budget: BudgetSettings | None) -> float | None:
    """Most KB that a bucket lets through in 60 s: its rate, and one burst that was saved up."""
    rate = None if budget is None else budget.bytes_per_s
    if budget is None or rate is None:
        return None
    return rate * (WINDOW_S + budget.burst_s) / KB


async def _watch(recorder: Recorder, on_answer: Callable[[int], None]) -> None:
    while True:
        on_answer(len(recorder.answers))
        await anyio.sleep(0.5)


@asynccontextmanager
async def _scratch() -> AsyncIterator[Path]:
    """A folder that is gone at the end."""
    folder = await anyio.to_thread.run_sync(tempfile.TemporaryDirectory)
    try:
        yield Path(folder.name)
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(folder.cleanup)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(float(np.round(seconds * 1000, 1)), 1)
