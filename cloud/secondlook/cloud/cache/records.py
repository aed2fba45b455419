"""Answers as a record of the context memory, so that the next start begins with them.

What the edges remember of verdicts (`TrackVerdict`, `FalsePositive`) cannot serve for that: it says
what stands where, not from which pixels and which release that was seen. So the cloud writes a
kind of its own, under a site that no camera has.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import Annotated, ClassVar
from urllib.parse import quote

import numpy as np
from pydantic import BaseModel, Field, StringConstraints

from secondlook.cloud.cache.content import DIGEST_BYTES
from secondlook.cloud.cache.shelves import Kept, Shelf
from secondlook.cloud.engine.asking import Detected, Ran
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import Kind, context_id
from secondlook.shared.memory.kinds.kind import EpochSeconds, Name
from secondlook.shared.memory.merging import Latest, Rule
from secondlook.shared.values import Detections

SITE = "_cloud"
"""Where the cloud keeps what is its own; edges have no rights there, unless to all cameras."""

PARTS = 8
"""Records of one version; a record has 64 kB, which is some 20 answers of a busy street."""
MAX_BOXES = 300
"""An answer with more is not written: it would push out many others."""
MAX_KEPT = 200
"""Most answers in one record."""
MAX_RECORD_CHARS = 56 * 1024
"""Most text that they take: a record has 64 kB."""

_ROW = np.dtype([("box", "<f4", 4), ("score", "<f4"), ("class", "<i4")])
_Text = Annotated[str, StringConstraints(max_length=MAX_RECORD_CHARS)]
_Whole = Annotated[int, Field(ge=0, le=2**40)]


class KeptVerdict(BaseModel):
    """One answer.

    Attributes:
        content: hex digits of the digest of its question, see `content_of`.
        rows: its boxes, base64 of x1 y1 x2 y2 score (float32) and class (int32), little endian.
        variant: what gave it.
        infer_s: time of the network for it, seconds.
        image_bytes: size of the picture, uint8 pixels.
        hits: how often it was asked for again.
    """

    model_config = Kind.model_config

    content: Annotated[str, StringConstraints(pattern=rf"^[0-9a-f]{{{2 * DIGEST_BYTES}}}$")]
    rows: _Text
    variant: Annotated[str, StringConstraints(max_length=64)] = ""
    infer_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    image_bytes: _Whole = 0
    hits: _Whole = 0

    @classmethod
    def from_kept(cls, content: bytes, kept: Kept) -> KeptVerdict:
        """Write an answer down."""
        found, ran = kept.detected.detections, kept.detected.ran
        rows = np.empty(len(found), _ROW)
        rows["box"], rows["score"], rows["class"] = found.boxes, found.scores, found.classes
        return cls(
            content=content.hex(),
            rows=base64.b64encode(rows.tobytes()).decode(),
            variant=ran.variant[:64],
            infer_s=min(3600.0, ran.infer_s / max(1, ran.batch)),
            image_bytes=kept.image_bytes,
            hits=kept.hits,
        )

    def kept(self, shelf: Shelf, names: tuple[str, ...]) -> Kept:
        """Read it.

        Raises:
            InvalidInput: its rows are no boxes of a model with these class names.
        """
        try:
            rows = np.frombuffer(base64.b64decode(self.rows, validate=True), _ROW)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"rows of a kept verdict: {error}") from None
        found = Detections.of(rows["box"], rows["score"], rows["class"], names)
        ran = Ran(*shelf, variant=self.variant, infer_s=self.infer_s)
        return Kept(Detected(found, ran), self.image_bytes, self.hits)


class KeptVerdicts(Kind):
    """The answers of one part of a version that are asked for most.

    Attributes:
        fingerprint: what the version really is: its file, its class names, where it runs.
        verdicts: the answers, most asked for first.
        at_s: when they were written, seconds since the Unix epoch.
    """

    KIND: ClassVar[str] = "verdict-cache"
    RULE: ClassVar[Rule] = Latest("at_s")

    fingerprint: Name
    verdicts: Annotated[tuple[KeptVerdict, ...], Field(strict=False, max_length=MAX_KEPT)]
    at_s: EpochSeconds


def part_of(content: bytes) -> int:
    """Which record of its version an answer belongs to."""
    return content[0] % PARTS


def record_id(shelf: Shelf, part: int) -> str:
    """The id of a record of a version."""
    model, version = (quote(name, safe="") for name in shelf)
    return context_id(f"{SITE}/engine", KeptVerdicts, f"{model}@{version}:{part}")


def chosen(
    ours: Iterable[tuple[bytes, Kept]], standing: Iterable[KeptVerdict] = ()
) -> tuple[KeptVerdict, ...]:
    """What to write: answers that were asked for again, most first, as far as there is room.

    Args:
        ours: the answers here.
        standing: those that the record holds; another replica may have written them.
    """
    # Nobody may ask for those any more: they fade, unless another replica writes them anew.
    known = {
        verdict.content: verdict.model_copy(update={"hits": verdict.hits // 2})
        for verdict in standing
        if verdict.hits > 1
    }
    for content, kept in ours:
        if kept.hits and len(kept.detected.detections) <= MAX_BOXES:
            verdict = KeptVerdict.from_kept(content, kept)
            known[verdict.content] = verdict
    ranked = sorted(known.values(), key=lambda verdict: (-verdict.hits, verdict.content))
    taken: list[KeptVerdict] = []
    chars = 0
    for verdict in ranked:
        # 256: its other fields as JSON, at their longest.
        chars += len(verdict.rows) + 256
        if len(taken) == MAX_KEPT or chars > MAX_RECORD_CHARS:
            break
        taken.append(verdict)
    return tuple(taken)
