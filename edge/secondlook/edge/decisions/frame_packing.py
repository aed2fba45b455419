"""A frame as bytes and back: binary, because there are millions of them.

Fixed numbers, those numbers that are not what they usually are, one array for each column of the
candidates, and the texts as JSON. Layout in docs/adr/0013-decision-log.md.
"""

from __future__ import annotations

import math
import struct
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.edge.control.allowance import Allowance, Infeasible
from secondlook.edge.decisions.plain import from_json, to_json
from secondlook.edge.decisions.records import MAX_CANDIDATES, FrameRecord, LogHeader
from secondlook.edge.gate.protocol import Choice, FrameEvidence, Terms, Way
from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Purpose

_FIXED = struct.Struct("<QdddHHHHHBBHH")
"""Sequence; captured_at, captured_s, time_s; width, height; candidates, asked, left; flags,
purpose; which other numbers follow; regions."""
_BACKGROUND_WAITS, _WHOLE, _LATE = 1, 2, 4
_WAYS: dict[Way, int] = {"gate": 0, "edge": 8, "full": 16}
_PURPOSES = tuple(Purpose)
_NO_NAME = 0xFFFF

_USUAL = (
    math.nan,  # background_age_s; NaN: none
    math.inf,  # certified_loss
    0.0,  # audit_rate
    0.0,  # whole_bytes
    1.0,  # coin
    0.0,  # byte_price
    0.0,  # inference_price
    math.inf,  # bytes_now
    math.inf,  # inferences_now
    math.inf,  # audit_bytes_now
    math.inf,  # audit_inferences_now
    0.0,  # questions under way
)


@dataclass(frozen=True, slots=True)
class Head:
    """What a frame's record says first.

    Attributes:
        sequence: number of the frame.
        captured_at: wall clock of the capture, seconds since the Unix epoch.
        asked: whether the gate wanted to ask anything.
    """

    sequence: int
    captured_at: float
    asked: bool


def frame_head(data: bytes, at: int) -> Head | None:
    """The head of a frame packed there, far cheaper than all of it; ``None``: it is cut off."""
    if len(data) < at + _FIXED.size:
        return None
    found = _FIXED.unpack_from(data, at)
    return Head(found[0], found[1], bool(found[7] or found[9] & _WHOLE))


def pack_frame(record: FrameRecord, names: tuple[str, ...]) -> bytes:
    """A frame as bytes.

    Args:
        record: what to write.
        names: class names in the header of the file.

    Raises:
        InvalidInput: it has more candidates than a record takes.
    """
    evidence, terms, choice = record.evidence, record.terms, record.choice
    allowance, n = terms.allowance, len(evidence)
    if n > MAX_CANDIDATES or len(record.regions) > MAX_CANDIDATES:
        raise InvalidInput(f"{n} candidates; at most {MAX_CANDIDATES} are logged")
    numbers = {name: number for number, name in enumerate(names)}
    others: list[str] = []
    classes = []
    for name in evidence.names:
        number = numbers.get(name, _NO_NAME)
        if number == _NO_NAME and name:
            number = numbers[name] = len(numbers)
            others.append(name)
        classes.append(number)
    age_s = math.nan if evidence.background_age_s is None else evidence.background_age_s
    values = (
        age_s, terms.certified_loss, terms.audit_rate, terms.whole_bytes, choice.coin,
        allowance.byte_price, allowance.inference_price, allowance.bytes_now,
        allowance.inferences_now, allowance.audit_bytes_now, allowance.audit_inferences_now,
        float(evidence.questions),
    )  # fmt: skip
    which, unusual = 0, []
    for bit, (value, usual) in enumerate(zip(values, _USUAL, strict=True)):
        if value != usual and not (math.isnan(value) and math.isnan(usual)):
            which |= 1 << bit
            unusual.append(value)
    flags = (
        _BACKGROUND_WAITS * evidence.background_in_flight
        + _WHOLE * choice.whole_frame
        + _LATE * allowance.late
        + _WAYS[terms.way]
    )
    said = {
        "names": others,
        "places": list(evidence.reasons) if any(evidence.reasons) else [],
        "reasons": choice.reasons,
        "each": choice.box_reasons if choice.box_reasons != choice.reasons else [],
        "limits": allowance.reasons,
        "slo": [] if allowance.slo is None else astuple(allowance.slo),
    }
    texts = {key: value for key, value in said.items() if value}
    fixed = _FIXED.pack(
        record.sequence, record.captured_at, record.captured_s, record.time_s,
        record.width, record.height, n, len(choice.ask), len(choice.left),
        flags, _PURPOSES.index(choice.purpose), which, len(record.regions),
    )  # fmt: skip
    # A NaN becomes a corner far outside.
    boxes = np.rint(np.fmax(np.fmin(evidence.boxes, 32767), -32768)).astype("<i2")
    # Sides are smaller numbers than corners; where they overflow, reading does it back.
    boxes[:, 2:] -= boxes[:, :2]
    halves = np.array(
        (evidence.scores, evidence.right, evidence.loss, evidence.verdict_age_s), "<f2"
    )
    corners = [corner for rectangle in record.regions for corner in rectangle]
    shorts = (*classes, *choice.ask, *choice.left, *corners)
    return b"".join(
        (
            fixed,
            struct.pack(f"<{len(unusual)}d", *unusual),
            _apart(boxes.tobytes()),
            evidence.track_ids.astype("<i8").tobytes(),
            _apart(halves.tobytes()),
            record.candidate_bytes.astype("<f4").tobytes(),
            evidence.in_flight.tobytes(),
            struct.pack(f"<{len(shorts)}H", *shorts),
            to_json(texts) if texts else b"",
        )
    )


class _Columns:
    """Reads arrays one after the other."""

    def __init__(self, body: bytes, at: int) -> None:
        self._body = body
        self.at = at

    def take(self, kind: str, count: int) -> npt.NDArray[Any]:
        """The next ``count`` numbers; ValueError where there are fewer."""
        found = np.frombuffer(self._body, kind, count, self.at)
        self.at += found.nbytes
        return found

    def halves(self, kind: str, count: int) -> npt.NDArray[Any]:
        """The same of numbers of two bytes that `_apart` took apart; may be written to."""
        both = self.take("u1", 2 * count).reshape(2, count)
        return np.stack((both[1], both[0]), axis=1).reshape(-1).view(kind)


def _apart(data: bytes) -> bytes:
    """High bytes of numbers of two bytes, then low ones: alike beside alike packs better."""
    return data[1::2] + data[0::2]


def unpack_frame(body: bytes, header: LogHeader | None) -> FrameRecord:
    """A frame from bytes, under the header of its file.

    Raises:
        InvalidInput: there is no header yet, or it holds what is never written.
        ValueError, IndexError, TypeError, struct.error: it is cut off, or else no frame.
    """
    if header is None:
        raise InvalidInput("a frame comes before the header")
    (
        sequence, captured_at, captured_s, time_s, width, height, n, asked, left, flags,
        purpose, which, regions,
    ) = _FIXED.unpack_from(body)  # fmt: skip
    if n > MAX_CANDIDATES or not all(map(math.isfinite, (captured_at, captured_s, time_s))):
        raise InvalidInput(f"frame {sequence} has {n} candidates or no time")
    columns = _Columns(body, _FIXED.size)
    unusual = columns.take("<f8", which.bit_count()).tolist()
    values = [unusual.pop(0) if which >> bit & 1 else usual for bit, usual in enumerate(_USUAL)]
    age_s, certified, rate, whole_bytes, coin = values[:5]
    byte_price, inference_price, bytes_now, runs_now, audit_bytes_now, audit_runs_now = values[5:11]
    questions = values[11]
    if not 0 <= questions <= MAX_CANDIDATES:
        raise InvalidInput(f"frame {sequence} tells of {questions:g} questions under way")
    boxes = columns.halves("<i2", 4 * n).reshape(n, 4)
    boxes[:, 2:] += boxes[:, :2]
    track_ids = columns.take("<i8", n).astype(np.int64)
    scores, right, loss, ages = columns.halves("<f2", 4 * n).reshape(4, n).astype(np.float64)
    candidate_bytes = columns.take("<f4", n).astype(np.float64)
    # A NaN may be what a model gave, and no age is one; nothing is infinite.
    if np.isinf((scores, right, loss, ages)).any() or not (candidate_bytes >= 0).all():
        raise InvalidInput(f"frame {sequence} holds numbers that no gate was ever given")
    in_flight = columns.take("u1", n).astype(bool)
    classes = columns.take("<u2", n).tolist()
    ask = _indices(columns.take("<u2", asked), n)
    not_asked = _indices(columns.take("<u2", left), n)
    rectangles = columns.take("<u2", 4 * regions).reshape(regions, 4).tolist()
    texts = from_json(body[columns.at :]) if columns.at < len(body) else {}
    names = header.names + _texts(texts, "names")
    slo = texts.get("slo")
    allowance = Allowance(
        byte_price,
        inference_price,
        bytes_now,
        runs_now,
        audit_bytes_now,
        audit_runs_now,
        late=bool(flags & _LATE),
        reasons=_texts(texts, "limits"),
        slo=Infeasible(str(slo[0]), float(slo[1]), float(slo[2])) if slo else None,
    )
    evidence = FrameEvidence(
        camera=header.camera,
        sequence=sequence,
        boxes=boxes.astype(np.float32),
        names=tuple("" if index == _NO_NAME else names[index] for index in classes),
        track_ids=track_ids,
        scores=scores,
        right=right,
        loss=loss,
        verdict_age_s=ages,
        in_flight=in_flight,
        reasons=_texts(texts, "places", n),
        background_age_s=None if math.isnan(age_s) else age_s,
        background_in_flight=bool(flags & _BACKGROUND_WAITS),
        questions=int(questions),
    )
    reasons = _texts(texts, "reasons")
    each = _texts(texts, "each") or (reasons if ask else ())
    choice = Choice(
        ask, each, bool(flags & _WHOLE), _PURPOSES[purpose], reasons, coin, not_asked
    )  # fmt: skip
    way: Way = "edge" if flags & _WAYS["edge"] else "full" if flags & _WAYS["full"] else "gate"
    terms = Terms(allowance, certified, rate, lambda _: candidate_bytes, whole_bytes, coin, way)
    return FrameRecord(
        evidence, terms, candidate_bytes, choice,
        tuple((x, y, w, h) for x, y, w, h in rectangles),
        captured_at, captured_s, time_s, width, height,
    )  # fmt: skip


def _indices(found: npt.NDArray[Any], n: int) -> tuple[int, ...]:
    if len(found) and int(found.max()) >= n:
        raise InvalidInput("a choice names a candidate that is not there")
    return tuple(found.tolist())


def _texts(texts: dict[str, Any], key: str, default: int = 0) -> tuple[str, ...]:
    """A list of texts; ``default`` empty ones where there is none."""
    found = texts.get(key)
    if not found:
        return ("",) * default
    if not isinstance(found, list) or (default and len(found) != default):
        raise InvalidInput(f"{key} of a frame is not a list of the right length")
    return tuple(str(text) for text in found)
