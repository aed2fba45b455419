"""One pass over a clip: every system sees every frame, beside the reference."""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio.to_thread
import numpy as np
import numpy.typing as npt

from secondlook.cli.price.heavy import Heavy
from secondlook.cli.price.system import Shot, System
from secondlook.shared.detect.protocol import Detector
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections, Frame

REFERENCE_SCORE = 0.25
"""The reference is what the cloud model sees in the untouched native frame from this score on."""

CANDIDATE_SCORE = 0.05
"""The light model's boxes are wanted from this score on; the pipeline publishes fewer."""


class Captured(Protocol):
    """What a clip gives (`secondlook.edge.capture.CapturedFrame`)."""

    @property
    def frame(self) -> Frame:
        """The frame; its pixels are valid until the next one is taken."""
        ...

    @property
    def media_s(self) -> float:
        """Time in the clip, seconds."""
        ...

    @property
    def truth(self) -> Detections | None:
        """What is really there, where the source knows."""
        ...

    @property
    def ignore(self) -> npt.NDArray[np.bool_] | None:
        """bool (n,), rows of ``truth`` that do not count."""
        ...


@dataclass(slots=True, eq=False)
class Standard:
    """What answers are held against, frame by frame.

    Attributes:
        references: the cloud model's boxes in the native frames.
        truths: what is really there; empty where the source does not know.
        ignores: which rows of ``truths`` do not count.
        media_s: time of each frame in the clip, seconds.
        sequences: number of each frame in its stream.
        checks: checksum of each frame's pixels.
        width, height: size of the first frame, pixels.
    """

    references: list[Detections] = field(default_factory=list)
    truths: list[Detections] = field(default_factory=list)
    ignores: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    media_s: list[float] = field(default_factory=list)
    sequences: list[int] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    width: int = 0
    height: int = 0

    def __len__(self) -> int:
        return len(self.references)

    @property
    def has_truth(self) -> bool:
        """Whether the source knew what is really there, in every frame."""
        return len(self.truths) == len(self.references) > 0

    @property
    def duration_s(self) -> float:
        """How long the clip is, seconds: the frames with the time that each stands for."""
        n = len(self.media_s)
        if n < 2:
            return 0.0
        return (self.media_s[-1] - self.media_s[0]) * n / (n - 1)

    def note(self, captured: Captured, reference: Detections) -> None:
        """The next frame and the reference's answer to it."""
        ref = captured.frame.ref
        if not self.references:
            self.width, self.height = ref.width, ref.height
        self.references.append(reference)
        self.media_s.append(captured.media_s)
        self.sequences.append(ref.sequence)
        self.checks.append(check_of(captured.frame))
        if captured.truth is not None:
            ignore = captured.ignore
            self.truths.append(captured.truth)
            self.ignores.append(np.zeros(len(captured.truth), bool) if ignore is None else ignore)


class OtherFrames(Exception):
    """What was stored is of other frames than these."""


def check_of(frame: Frame) -> int:
    """A checksum of a frame's pixels."""
    return zlib.crc32(np.ascontiguousarray(frame.image).data)


class Referee(Protocol):
    """Says what the cloud model sees in the untouched frames, in order."""

    async def see(self, index: int, frame: Frame) -> Detections:
        """Its boxes in the frame of that place."""
        ...


class LiveReferee:
    """Asks the model."""

    def __init__(self, heavy: Heavy) -> None:
        self._heavy = heavy

    async def see(self, index: int, frame: Frame) -> Detections:
        """See `Referee.see`."""
        return await self._heavy.see(frame.image, REFERENCE_SCORE)


class StoredReferee:
    """Remembers what the model saw in the same frames.

    Args:
        answers: for each frame.
        checks: `check_of` each frame.
    """

    def __init__(self, answers: Sequence[Detections], checks: Sequence[int]) -> None:
        self._answers = answers
        self._checks = checks

    async def see(self, index: int, frame: Frame) -> Detections:
        """See `Referee.see`.

        Raises:
            OtherFrames: these are other frames.
        """
        if index >= len(self._answers) or self._checks[index] != check_of(frame):
            raise OtherFrames
        return self._answers[index]


async def compare(
    clip: AsyncIterator[Captured],
    light: Detector | None,
    referee: Referee,
    systems: Sequence[System],
    on_frame: Callable[[int, Captured], None] | None = None,
) -> Standard:
    """Show every frame of a clip to every system and to the reference, one after the other.

    One thing runs at a time, so that what is measured is not slowed by its neighbours. Memory
    holds one frame, whatever the length of the clip.

    Args:
        clip: the frames.
        light: the edge's model; ``None`` where no system wants its boxes.
        referee: gives the reference.
        systems: see `System`; finished on return.
        on_frame: called with the number of frames done and the last one.

    Raises:
        InvalidInput: the clip has no frame.
    """
    standard = Standard()
    nothing = Detections.empty(())
    async for captured in clip:
        seen, light_s = nothing, 0.0
        if light is not None:
            started = time.perf_counter()
            (seen,) = await anyio.to_thread.run_sync(
                light.detect, [captured.frame.image], CANDIDATE_SCORE
            )
            light_s = time.perf_counter() - started
        reference = await referee.see(len(standard), captured.frame)
        shot = Shot(len(standard), captured.frame, captured.media_s, seen, light_s, reference)
        for system in systems:
            await system.see(shot)
        standard.note(captured, reference)
        if on_frame is not None:
            on_frame(len(standard), captured)
    if not len(standard):
        raise InvalidInput("the clip has no frame", remedy="give a clip with at least one picture")
    for system in systems:
        await system.finish()
    return standard
