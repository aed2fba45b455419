"""Decision logs for tests: a pipeline's run, written as the daemon writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from secondlook.edge.control import Allowance, BudgetSettings, Controller
from secondlook.edge.decisions import (
    DecisionSettings,
    FrameRecord,
    LogHeader,
    Record,
    Recorder,
    WayRecord,
)
from secondlook.edge.decisions.log import DecisionFiles
from secondlook.edge.decisions.meter import DecisionMeter
from secondlook.edge.decisions.policy import PolicySettings
from secondlook.edge.decisions.reading import Problems, Story, stories
from secondlook.edge.gate import FrameEvidence, RiskGate, Terms
from secondlook.edge.pipeline import CameraPipeline
from secondlook.edge.pipeline_settings import GateSettings, PipelineSettings
from secondlook.shared.clock import ManualClock
from secondlook.shared.values import Escalation, Verdict
from support.edge import NAMES, Seen, frame, seen, textured, verdict

SETTINGS = DecisionSettings(pictures="none")
ROOM = textured()


def header(camera: str = "gate", session: str = "s", **policy: Any) -> LogHeader:
    """A header of a log."""
    document = PolicySettings.model_validate(policy).document()
    return LogHeader(camera, NAMES, document, "light 1", "cold-start", session, 1.7e9, "0")


def write(
    folder: Path,
    head: LogHeader,
    records: Iterable[Record],
    settings: DecisionSettings = SETTINGS,
    now_s: float = 0.0,
) -> CollectorRegistry:
    """Write records as one run of a daemon would."""
    registry = CollectorRegistry()
    files = DecisionFiles(folder, settings, DecisionMeter(registry))
    for record in records:
        files.add(head, record, now_s)
    files.close(now_s)
    return registry


def read(folder: Path, camera: str = "gate") -> tuple[list[Story], Problems]:
    """All frames of a camera."""
    problems = Problems()
    return list(stories(folder / camera, problems)), problems


def a_frame(sequence: int = 0, candidates: int = 3, seed: int = 0) -> FrameRecord:
    """A record with numbers that are exact in the log."""
    dice = np.random.default_rng([seed, sequence])
    corners = np.sort(dice.integers(0, 300, (candidates, 2, 2)), axis=1)
    boxes = corners.reshape(-1, 4).astype(np.float32)

    def halves(most: float) -> np.ndarray:
        return dice.uniform(0, most, candidates).astype(np.float16).astype(np.float64)

    age_s = np.where(dice.random(candidates) < 0.5, halves(10), np.nan)
    evidence = FrameEvidence(
        camera="gate",
        sequence=sequence,
        boxes=boxes,
        names=tuple(NAMES[index] for index in dice.integers(0, len(NAMES), candidates)),
        track_ids=np.arange(candidates, dtype=np.int64) + 1,
        scores=halves(1),
        right=halves(1),
        loss=halves(0.5),
        verdict_age_s=age_s,
        in_flight=dice.random(candidates) < 0.2,
        reasons=("",) * candidates,
        background_age_s=sequence / 10,
        background_in_flight=False,
    )
    sizes = dice.integers(300, 2000, candidates).astype(np.float64)
    terms = Terms(audit_rate=0.01, bytes_of=lambda _: sizes, whole_bytes=30_000.0)
    choice = RiskGate(GateSettings()).choose(evidence, terms)
    regions = ((16, 32, 64, 48),) if choice.ask else ()
    return FrameRecord(
        evidence, terms, sizes, choice, regions, 1.7e9 + sequence / 10, 50 + sequence / 10,
        sequence / 10, 320, 240,
    )  # fmt: skip


Judge = Callable[[Escalation, int], Verdict]


def street(number: int) -> tuple[Seen, ...]:
    """What a light model sees in a street: a car that drives, a person it is sure of, a shadow.

    And somebody it is unsure of, who comes again and again at another place.
    """
    left = 40 + number % 150
    visit = number // 8
    x, y = 10 + 53 * visit % 260, 150 + 17 * visit % 60
    return (
        ((left, 100, left + 40, 140), 0.45, "car"),
        ((20, 20, 80, 90), 0.95, "person"),
        ((200, 150, 240, 210), 0.3, "bottle"),
        ((x, y, x + 14, y + 28), 0.3 + 0.04 * (visit % 8), "person"),
    )


def heavy(asked: Escalation, number: int) -> Verdict:
    """What the heavy model says there: the car, and somebody the light model never sees."""
    left = 40 + number % 150
    visit = number // 8
    x, y = 10 + 53 * visit % 260, 150 + 17 * visit % 60
    visitor: tuple[Seen, ...] = (((x, y, x + 14, y + 28), 0.8, "person"),)
    return verdict(
        asked,
        ((left, 100, left + 40, 140), 0.9, "car"),
        ((20, 20, 80, 90), 0.9, "person"),
        ((280, 180, 300, 230), 0.8, "person"),
        *(visitor if visit % 2 else ()),
    )


def run(
    folder: Path,
    *,
    frames: int = 120,
    camera: str = "gate",
    delay: int = 2,
    judge: Judge = heavy,
    boxes: Callable[[int], Sequence[Seen]] = street,
    budget: dict[str, Any] | None = None,
    settings: DecisionSettings = SETTINGS,
    session: str = "s",
    **sections: Any,
) -> list[Story]:
    """A camera's run through the real pipeline, and its log; verdicts come frames later.

    Args:
        folder: of the log.
        frames: how many, a tenth of a second apart.
        camera: its id.
        delay: frames until a verdict.
        judge: the cloud.
        boxes: the light model.
        budget: of the site; ``None``: none.
        settings: of the log.
        session: of the pipeline.
        sections: of the pipeline's settings.
    """
    chosen = PipelineSettings.model_validate(sections)
    head = header(
        camera, session, gate=chosen.gate, trust=chosen.trust, regions=chosen.regions,
        budget=budget or {},
    )  # fmt: skip
    clock = ManualClock()
    controller = None
    if budget is not None:
        controller = Controller(BudgetSettings(**budget), {camera: None}, clock.monotonic())
    pipeline = CameraPipeline(
        camera, chosen, NAMES, clock, session=session, recorder=Recorder(settings, chosen, None)
    )
    records: list[Record] = []
    waiting: list[tuple[int, Escalation]] = []
    for number in range(frames):
        clock.advance(0.1)
        now_s = clock.monotonic()
        shown = frame(number, ROOM, camera=camera, captured_s=now_s)
        allowance = Allowance.unlimited()
        if controller is not None:
            allowance = controller.allowance(camera, now_s)
        answer = pipeline.answer(shown, seen(*boxes(number)), allowance=allowance)
        asked = pipeline.escalation(shown, answer)
        records += pipeline.take_records()
        if asked is not None:
            size = len(asked.image) + 200
            paid = True
            if controller is not None:
                fare = controller.reserve(camera, asked.purpose, size, 1, now_s)
                paid = fare is not None
                if fare is not None:
                    fare.attempt(size, now_s)
                    fare.close(now_s)
            if paid:
                records.append(WayRecord(number, asked.request_id, "sent", wire_bytes=size))
                waiting.append((number + delay, asked))
            else:
                pipeline.asked_failed(asked, "no budget was left")
        while waiting and waiting[0][0] <= number:
            _, question = waiting.pop(0)
            pipeline.apply(judge(question, question.sequence))
        records += pipeline.take_records()
    write(folder, head, records, settings)
    found, problems = read(folder, camera)
    assert not problems.said
    assert len(found) == frames
    return found
