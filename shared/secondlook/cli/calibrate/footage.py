"""Footage as both models see it, and the lessons that lie in their differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

import anyio.to_thread
import numpy as np

from secondlook.cli.price.cache import Reference
from secondlook.cli.price.clip import open_clip
from secondlook.cli.price.comparison import OtherFrames, Standard, compare
from secondlook.cli.price.fingerprint import clip_fingerprint, key_of, model_fingerprint
from secondlook.cli.price.heavy import Heavy
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.plan import Plan
from secondlook.cli.price.stored import Stored, no_store, open_store
from secondlook.cli.price.system import Shot
from secondlook.edge.appearance import thumbnail
from secondlook.edge.gate.gate_parts import ClipFacts
from secondlook.edge.gate.lessons import Lessons, Teacher
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.shared.detect import Detector
from secondlook.shared.measure import Metric
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Detections, FrameRef

_log = get_logger(__name__)

BLOCKS = 5
"""Blocks of time into which a clip is cut where the gate is for its camera alone."""


@dataclass(slots=True, eq=False)
class Footage:
    """One clip, watched.

    Attributes:
        url: where it comes from.
        facts: for the gate file.
        light: the light model's boxes of each frame, from a low score on.
        standard: the heavy model's boxes of each frame, and when it was.
        frames: which frame each was.
        lessons: all of them.
        marks: rows of `Lessons.sights`, `confirmed` and `refuted` there were after each frame.
    """

    url: str
    facts: ClipFacts
    light: list[Detections]
    standard: Standard
    frames: list[FrameRef]
    lessons: Lessons
    marks: list[tuple[int, int, int]]

    def __len__(self) -> int:
        return len(self.frames)

    def part(self, begin: int, end: int) -> Lessons:
        """The lessons of the frames from ``begin`` to before ``end``."""
        first = self.marks[begin - 1] if begin else (0, 0, 0)
        last = self.marks[end - 1] if end else (0, 0, 0)
        (a, b, c), (d, e, f), said = first, last, self.lessons
        return Lessons(
            said.sights[a:d],
            said.present[a:d],
            said.same_class[a:d],
            said.confirmed[b:e],
            said.stands[b:e],
            said.refuted[c:f],
            said.returned[c:f],
        )

    def blocks(self, end: int | None = None) -> list[Lessons]:
        """The lessons of equal stretches of the frames before ``end``."""
        cuts = np.linspace(0, len(self) if end is None else end, BLOCKS + 1).astype(int).tolist()
        return [self.part(a, b) for a, b in pairwise(cuts)]


@dataclass(slots=True, eq=False)
class _Watcher:
    """A system of the comparison that takes notes and says nothing."""

    teacher: Teacher
    width_px: int
    stored: Sequence[Detections] | None
    light: list[Detections] = field(default_factory=list)
    frames: list[FrameRef] = field(default_factory=list)
    marks: list[tuple[int, int, int]] = field(default_factory=list)
    ledger: Ledger = field(default_factory=lambda: Ledger("watcher"))

    async def see(self, shot: Shot) -> None:
        """See `System.see`."""
        light = shot.light if self.stored is None else self.stored[shot.index]
        assert shot.reference is not None
        look = thumbnail(shot.frame.image, self.width_px)
        self.teacher.see(light, shot.reference, look, shot.frame.ref, shot.media_s)
        self.light.append(light)
        self.frames.append(shot.frame.ref)
        lessons = self.teacher.lessons
        self.marks.append((len(lessons.sights), len(lessons.confirmed), len(lessons.refuted)))

    async def finish(self) -> None:
        """See `System.finish`."""


@dataclass(frozen=True, slots=True, eq=False)
class Eyes:
    """What watches.

    Attributes:
        light: the edge's model.
        edge_model: what it was loaded from.
        heavy: the cloud's.
        metric: what counts.
        pipeline: whose evidence is learned.
    """

    light: Detector
    edge_model: str
    heavy: Heavy
    metric: Metric
    pipeline: PipelineSettings


async def watch(
    plan: Plan,
    eyes: Eyes,
    *,
    held_out: bool,
    on_frame: Callable[[int], None],
    on_total: Callable[[int], None],
) -> Footage:
    """Run both models on every frame of a clip; what they said before is taken from the cache.

    Args:
        plan: the clip, its rate, and the cache.
        eyes: what watches.
        held_out: for the facts.
        on_frame: told how many frames are done.
        on_total: told how many there are, where that is known.

    Raises:
        InvalidInput: the clip is empty or wrong.
        SourceError: it cannot be opened or decoded.
    """
    stored = await open_store(plan, eyes.heavy.info)
    try:
        return await _watch(plan, eyes, stored, held_out, on_frame, on_total)
    except OtherFrames:
        _log.warning("what was kept is of other frames; everything is computed again")
        return await _watch(plan, eyes, no_store(), held_out, on_frame, on_total)


async def _watch(
    plan: Plan,
    eyes: Eyes,
    stored: Stored,
    held_out: bool,
    on_frame: Callable[[int], None],
    on_total: Callable[[int], None],
) -> Footage:
    await stored.load([])
    kept, key = await anyio.to_thread.run_sync(_kept_light, stored, eyes)
    teacher = Teacher(eyes.pipeline, eyes.light.info.names, eyes.metric)
    watcher = _Watcher(
        teacher, eyes.pipeline.motion.width_px, None if kept is None else kept.answers
    )
    async with open_clip(
        plan.clip,
        plan.analysis_fps,
        plan.max_frames,
        clip_fps=plan.clip_fps,
        on_total=on_total,
    ) as clip:
        standard = await compare(
            clip,
            eyes.light if kept is None else None,
            stored.referee(eyes.heavy),
            [watcher],
            lambda done, _: on_frame(done),
        )
    if not stored.fits(len(standard)):
        raise OtherFrames
    await stored.save([], {}, standard)
    if kept is None and stored.cache is not None:
        checks = np.array(standard.checks, np.uint32)
        said = Reference(watcher.light, checks)
        await anyio.to_thread.run_sync(stored.cache.save_reference, key, said)
    facts = await anyio.to_thread.run_sync(_facts, plan, standard, held_out)
    return Footage(
        plan.clip, facts, watcher.light, standard, watcher.frames, teacher.lessons, watcher.marks
    )


def _kept_light(stored: Stored, eyes: Eyes) -> tuple[Reference | None, str]:
    """What the light model said of the frames of the stored reference, and the key of that."""
    if stored.cache is None:
        return None, ""
    light = model_fingerprint(eyes.edge_model, eyes.light.info)
    key = key_of({**stored.base, "system": "light", "rate": stored.rate, "light": light})
    known = stored.reference
    found = None if known is None else stored.cache.load_reference(key)
    if found is None or known is None or not np.array_equal(found.checks, known.checks):
        return None, key
    # Other class names of the same model: a sidecar was changed.
    if any(answer.names != eyes.light.info.names for answer in found.answers if len(answer)):
        return None, key
    return found, key


def _facts(plan: Plan, standard: Standard, held_out: bool) -> ClipFacts:
    path = Path(plan.clip)
    modified = ""
    if path.exists():
        at = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
        modified = at.isoformat(timespec="seconds")
    return ClipFacts(
        name=name_of(plan.clip),
        content=clip_fingerprint(plan.clip) or "",
        modified=modified,
        frames=len(standard),
        hours=round(standard.duration_s / 3600, 6),
        analysis_fps=plan.analysis_fps,
        size=(standard.width, standard.height),
        held_out=held_out,
    )


def name_of(url: str) -> str:
    """The last part of a URL or path: what people call the clip, and no more of where it lies."""
    if url.startswith("sim:"):
        return url[:256]
    return (url.split("?")[0].rstrip("/").rsplit("/", 1)[-1] or url)[-256:]
