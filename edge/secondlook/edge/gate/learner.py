"""Calibration that is learned while the camera runs: is the gate right as often as it says?

Learned from audits alone. Their frames are chosen by a coin and never by what is in them, so their
boxes are a fair sample of all boxes; the boxes that the gate asked about are not, and refitting on
those made other cameras worse. Each outcome weighs 1/π, π being the probability of the audit.

Boxes are told apart by branch (no verdict, confirmed, refuted), size and class. What a bucket has
counted corrects what its whole branch has counted, which corrects the gate's probability, each
only as far as the counts go (`secondlook.edge.gate.curves`). And nothing is applied on trust: every
outcome first tries the calibration as it stood before; only while it would have been clearly
better than no calibration, in log loss, is it used.

The curves in use change seldom, when a half more has been learned: a certificate of trust speaks
for one gate, and each change of the curves makes another (`Calibration.version`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.buckets import BRANCHES, SIZES, log_odds
from secondlook.edge.gate.calibration import NO_CALIBRATION, OTHER, curve_in, named
from secondlook.edge.gate.curves import (
    BINS,
    HIGH,
    LOW,
    NOTHING,
    Counts,
    Curve,
    bin_of,
    curve_of,
)
from secondlook.edge.gate.logistic import Floats
from secondlook.edge.gate.risk import RiskModel
from secondlook.shared.memory.kinds import CurvesInUse, ScoreCalibration

MAX_BUCKETS = 48
MAX_WEIGHT = 100
"""An audit stands for no more boxes than this: a rare coin makes no single outcome decide."""
_GROWTH = 1.5
_EVIDENCE = np.log(20.0)
"""By how many nats, summed over the outcomes that tried it, a calibration must have been better
before it is used. Were the gate right as often as it says, no more than one calibration in 20 would
ever get so far: the sum is the logarithm of a fair bet's gain."""
_THOUSANDTHS = 1000.0


def fingerprint(model: RiskModel) -> str:
    """16 hex digits that name a risk model, whatever file it comes from."""
    parts = [
        (branch.basis.columns, branch.basis.hinges, branch.basis.products, branch.weights)
        for branch in (model.present, model.same_class, model.confirmed, model.refuted)
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


class Learner:
    """Counts outcomes and makes curves of them. Not safe for concurrent use.

    Args:
        gate: `fingerprint` of the risk model; what is known about others is of no use.
        known: records of earlier processes.

    Attributes:
        calibration: what is in use now.
    """

    def __init__(self, gate: str, known: Mapping[str, ScoreCalibration] | None = None) -> None:
        self._gate = gate
        records = (known or {}).values()
        self._known = {
            record.model: record
            for record in sorted(records, key=lambda record: record.at_s)
            if record.gate == gate and _fits(record)
        }
        # The heavy model is not known before its first verdict: the last one, most likely.
        self._model = next(reversed(self._known), "")
        self.calibration = NO_CALIBRATION
        self._at_s = 0.0
        self._counts: dict[str, Counts] = {}
        self._told: dict[str, Counts] = {}
        self._trials: dict[str, Floats] = {}
        self._told_trials: dict[str, Floats] = {}
        self._curves: dict[str, Curve] = {}
        self._made_of = 1.0
        self._used: CurvesInUse | None = None
        self._told_used: CurvesInUse | None = None
        self._begin()

    @property
    def outcomes(self) -> float:
        """How many outcomes of equal weight have been learned, of this heavy model."""
        return sum(counts.number for counts in self._counts.values())

    def learn(
        self,
        right: Floats,
        buckets: list[str],
        outcomes: npt.NDArray[np.bool_],
        *,
        audit_rate: float,
        model: str,
        at_s: float,
    ) -> None:
        """Take in one audit.

        Args:
            right: float64 (n,), probabilities before any calibration.
            buckets: n; boxes of an empty one do not count.
            outcomes: bool (n,), whether each box was right.
            audit_rate: with which probability the frame was audited.
            model: the heavy model that judged, with its version.
            at_s: wall clock of the frame, seconds since the Unix epoch.
        """
        if not audit_rate > 0:
            return
        if model != self._model:
            self._model = model
            self._begin()
        rows = [row for row, bucket in enumerate(buckets) if bucket and 0.0 < right[row] < 1.0]
        if not rows:
            return
        weight = min(MAX_WEIGHT, max(1, round(1.0 / audit_rate)))
        odds = log_odds(np.asarray(right)[rows])
        tried = self._tried(odds, [buckets[row] for row in rows])
        for place, odd, after, row in zip(bin_of(odds).tolist(), odds, tried, rows, strict=True):
            outcome = bool(outcomes[row])
            branch = buckets[row].partition("/")[0]
            if after is not None:
                trial = self._trials.setdefault(branch, np.zeros(3))
                losses = (1.0, _loss(float(odd), outcome), _loss(after, outcome))
                trial += weight * np.round(np.array(losses) * (1, _THOUSANDTHS, _THOUSANDTHS))
            self._count(self._known_bucket(buckets[row]), place, outcome, weight)
        self._at_s = max(self._at_s, at_s)
        used = {bucket.partition("/")[0] for bucket in self.calibration.curves}
        if self.outcomes >= _GROWTH * self._made_of or not all(map(self._proven, used)):
            self._make()

    def record(self) -> tuple[str, ScoreCalibration] | None:
        """Key and content of what was learned since the last call; ``None`` where nothing was."""
        seen, right, squares = {}, {}, {}
        for bucket, counts in self._counts.items():
            before = self._told.get(bucket, NOTHING)
            added = counts.seen - before.seen
            if not added.any():
                continue
            seen[bucket] = _whole(added)
            right[bucket] = _whole(counts.right - before.right)
            squares[bucket] = round(counts.squares - before.squares)
        trial = {
            branch: _whole(tried - self._told_trials.get(branch, np.zeros(3)))
            for branch, tried in self._trials.items()
        }
        trial = {branch: tried for branch, tried in trial.items() if any(tried)}
        if not seen and self._used == self._told_used:
            return None
        self._told = dict(self._counts)
        self._told_trials = {branch: tried.copy() for branch, tried in self._trials.items()}
        self._told_used = self._used
        said = ScoreCalibration(
            gate=self._gate,
            model=self._model,
            at_s=self._at_s,
            low=LOW,
            high=HIGH,
            seen=seen,
            right=right,
            squares=squares,
            trial={branch: (t[0], t[1], t[2]) for branch, t in trial.items()},
            used=self._used,
        )
        return key_of(self._gate, self._model), said

    def _begin(self) -> None:
        """With what is known about the heavy model that judges now."""
        self._counts, self._trials, self._at_s = {}, {}, 0.0
        known = self._known.get(self._model)
        if known is not None:
            self._at_s = known.at_s
            for bucket, seen in known.seen.items():
                right = np.array(known.right[bucket], np.float64)
                squares = float(known.squares[bucket])
                self._counts[bucket] = Counts(np.array(seen, np.float64), right, squares)
            self._trials = {b: np.array(t, np.float64) for b, t in known.trial.items()}
        self._told = dict(self._counts)
        self._told_trials = {branch: tried.copy() for branch, tried in self._trials.items()}
        self._made_of, self._used = 1.0, None
        self._curves = self._made()
        if known is not None and known.used is not None:
            self._made_of, self._used = max(known.used.made_of, 1.0), known.used
            used = {name: Curve(np.array(v)) for name, v in known.used.curves.items()}
            self.calibration = named(used)
        else:
            self.calibration = NO_CALIBRATION
        self._told_used = self._used

    def _make(self) -> None:
        """Use what is proven of new curves of all that was counted."""
        self._made_of = max(self.outcomes, 1.0)
        self._curves = self._made()
        used = {name: c for name, c in self._curves.items() if self._proven(name.split("/")[0])}
        calibration = named(used)
        if calibration.version == self.calibration.version:
            return
        self.calibration = calibration
        self._used = CurvesInUse(
            at_s=self._at_s,
            made_of=self._made_of,
            curves={name: tuple(curve.values.tolist()) for name, curve in used.items()},
        )

    def _made(self) -> dict[str, Curve]:
        found: dict[str, Curve] = {}
        for branch in BRANCHES:
            own = {b: c for b, c in self._counts.items() if b.startswith(f"{branch}/")}
            whole = curve_of(sum(own.values(), NOTHING))
            if whole is None:
                continue
            found[branch] = whole
            for bucket, counts in own.items():
                curve = curve_of(counts, whole)
                if curve is not None and curve is not whole:
                    found[bucket] = curve
        return found

    def _proven(self, branch: str) -> bool:
        """Whether a branch's curves would have been better than none."""
        _, before, after = self._trials.get(branch, np.zeros(3))
        gained = (before - after) / _THOUSANDTHS / self._mean_weight(branch)
        return bool(gained >= _EVIDENCE)

    def _mean_weight(self, branch: str) -> float:
        whole = sum((c for b, c in self._counts.items() if b.startswith(f"{branch}/")), NOTHING)
        return float(whole.seen.sum()) / max(whole.number, 1.0)

    def _tried(self, odds: Floats, buckets: list[str]) -> list[float | None]:
        """What the newest curves say about each box, used or not; ``None`` without a curve."""
        found: list[float | None] = []
        for odd, bucket in zip(odds, buckets, strict=True):
            curve = curve_in(self._curves, bucket)
            found.append(None if curve is None else float(curve.apply(np.array([odd]))[0]))
        return found

    def _known_bucket(self, bucket: str) -> str:
        """The bucket itself, or that of all other classes where there are too many."""
        if bucket in self._counts or len(self._counts) < MAX_BUCKETS - len(BRANCHES) * len(SIZES):
            return bucket
        branch, size, _ = bucket.split("/", 2)
        return f"{branch}/{size}/{OTHER}"

    def _count(self, bucket: str, place: int, outcome: bool, weight: int) -> None:
        one = np.zeros(BINS)
        one[place] = weight
        added = Counts(one, one * outcome, float(weight * weight))
        self._counts[bucket] = self._counts.get(bucket, NOTHING) + added


def key_of(gate: str, model: str) -> str:
    """The key of the record about a gate and a heavy model."""
    return f"{gate}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _fits(record: ScoreCalibration) -> bool:
    """Whether its bins are ours."""
    curves = {} if record.used is None else record.used.curves
    bins = all(len(counts) == BINS for counts in (*record.seen.values(), *curves.values()))
    return bins and (record.low, record.high) == (LOW, HIGH)


def _whole(values: Floats) -> tuple[int, ...]:
    return tuple(round(value) for value in values.tolist())


def _loss(odds: float, outcome: bool) -> float:
    return float(np.logaddexp(0.0, -odds if outcome else odds))
