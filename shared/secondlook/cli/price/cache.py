"""Baselines on disk: what each said about each frame and what it sent, so that none runs twice.

Answers and bytes are stored, never a score: how they are scored may change, what was said may not.
A file that is damaged is told and computed again.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.shared.errors import InvalidConfig, InvalidInput
from secondlook.shared.measure import Traffic
from secondlook.shared.telemetry import get_logger
from secondlook.shared.values import Detections

_log = get_logger(__name__)

_FORMAT = 1
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,  # a flipped bit may name a compression that nobody has
    zipfile.BadZipFile,
    zlib.error,
    InvalidInput,
)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the heavy model saw in each native frame.

    Attributes:
        answers: its boxes.
        checks: uint32 (n,), checksum of each frame, so that no answer goes to another picture.
    """

    answers: list[Detections]
    checks: npt.NDArray[np.uint32]


class ResultCache:
    """Results under a folder, one file for each key.

    Args:
        folder: made where it is missing.

    Attributes:
        hits: results found.
        damaged: files that could not be read.

    Raises:
        InvalidConfig: the folder cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.hits = 0
        self.damaged = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidConfig(
                f"--cache {folder}: {error.strerror}", remedy="name a folder, or use --no-cache"
            ) from error

    def load_ledger(self, key: str, name: str, frames: int) -> Ledger | None:
        """A baseline's ledger, under a system's name; ``None`` where it must be computed."""
        found = self._load(key)
        if found is None:
            return None
        try:
            head, arrays = found
            answers = _unpacked(arrays, head["names"])
            seconds = arrays["seconds"].tolist()
            ledger = Ledger(
                name,
                [
                    FrameAnswer.once(said, float(after_s))
                    for said, after_s in zip(answers, seconds, strict=True)
                ],
                int(head["escalations"]),
                int(head["inferences"]),
                int(head["failures"]),
                Traffic(**head["traffic"]),
                up_bytes=arrays["up_bytes"].tolist(),
            )
            if not len(ledger.answers) == len(ledger.up_bytes) == frames:
                raise ValueError(f"{len(ledger.answers)} frames, {frames} expected")
        except _DAMAGED as error:
            self._tell(key, error)
            return None
        self.hits += 1
        return ledger

    def save_ledger(self, key: str, ledger: Ledger) -> None:
        """Keep what a baseline said; its answers are never revised."""
        head = {
            "escalations": ledger.escalations,
            "inferences": ledger.inferences,
            "failures": ledger.failures,
            "traffic": asdict(ledger.traffic),
        }
        arrays = {
            "seconds": np.array([answer.final_s for answer in ledger.answers], np.float64),
            "up_bytes": np.array(ledger.up_bytes, np.int64),
        }
        self._save(key, [answer.final for answer in ledger.answers], head, arrays)

    def load_reference(self, key: str) -> Reference | None:
        """The reference; ``None`` where it must be computed."""
        found = self._load(key)
        if found is None:
            return None
        try:
            head, arrays = found
            answers = _unpacked(arrays, head["names"])
            checks = np.asarray(arrays["checks"], np.uint32)
            if len(answers) != len(checks) or not len(checks):
                raise ValueError(f"{len(answers)} answers, {len(checks)} checks")
        except _DAMAGED as error:
            self._tell(key, error)
            return None
        self.hits += 1
        return Reference(answers, checks)

    def save_reference(self, key: str, reference: Reference) -> None:
        """Keep it."""
        self._save(key, reference.answers, {}, {"checks": reference.checks})

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.npz"

    def _load(self, key: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        path = self._path(key)
        if not path.exists():
            return None
        try:
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            head = json.loads(arrays["head"].tobytes())
            if head["format"] != _FORMAT:
                raise ValueError(f"format {head['format']}, {_FORMAT} expected")
        except _DAMAGED as error:
            self._tell(key, error)
            return None
        return head, arrays

    def _save(
        self,
        key: str,
        answers: Sequence[Detections],
        head: dict[str, Any],
        arrays: dict[str, npt.NDArray[Any]],
    ) -> None:
        """Write a file so that a reader sees all of it or nothing; a full disk only costs time."""
        names = answers[0].names if answers else ()
        # Each answer may come with a class list of its own.
        names = tuple(dict.fromkeys([*names, *(n for said in answers for n in said.names)]))
        said = [answer.renamed(names) for answer in answers]
        text = json.dumps({**head, "format": _FORMAT, "names": list(names)}).encode()
        packed = {
            **arrays,
            "head": np.frombuffer(text, np.uint8),
            "counts": np.array([len(answer) for answer in said], np.int64),
            "boxes": np.concatenate([np.empty((0, 4), np.float32), *(a.boxes for a in said)]),
            "scores": np.concatenate([np.empty(0, np.float32), *(a.scores for a in said)]),
            "classes": np.concatenate([np.empty(0, np.int32), *(a.classes for a in said)]),
        }
        part: Path | None = None
        try:
            with tempfile.NamedTemporaryFile(
                dir=self._folder, prefix=".part-", suffix=".npz", delete=False
            ) as file:
                part = Path(file.name)
                np.savez_compressed(file, **packed)  # type: ignore[arg-type] # names are ours
            part.replace(self._path(key))
        except OSError as error:
            if part is not None:
                part.unlink(missing_ok=True)
            _log.warning("a result could not be kept", folder=str(self._folder), error=str(error))

    def _tell(self, key: str, error: Exception) -> None:
        self.damaged += 1
        _log.warning(
            "a stored result is damaged and is computed again",
            file=str(self._path(key)),
            error=str(error) or type(error).__name__,
        )


def _unpacked(arrays: dict[str, Any], names: Sequence[str]) -> list[Detections]:
    """The answers of a file, checked as any detections are."""
    ends = np.cumsum(arrays["counts"])
    if np.any(arrays["counts"] < 0) or (len(ends) and ends[-1] != len(arrays["scores"])):
        raise ValueError("counts do not fit")
    cuts = ends[:-1] if len(ends) else ends
    return [
        Detections.of(boxes, scores, classes, names)
        for boxes, scores, classes in zip(
            np.split(arrays["boxes"], cuts),
            np.split(arrays["scores"], cuts),
            np.split(arrays["classes"], cuts),
            strict=True,
        )
    ]
