"""The pieces of a gate file: what each holds, and between which bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic import model_validator as _model_validator
from typing_extensions import Self

from secondlook.edge.evidence.features import SIGHT
from secondlook.edge.gate.logistic import Basis, Logistic
from secondlook.edge.gate.risk import VERIFIED, RiskModel

_MAX_TERMS = 256

Text = Annotated[str, StringConstraints(max_length=256)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(ge=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Setting = bool | int | float | str | tuple[str, ...]
"""A value of the settings as the file keeps it."""


class Part(BaseModel):
    """A piece of the file: immutable, nothing unknown, no number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Branch(Part):
    """One regression of the risk model.

    Attributes:
        basis: what was chosen: ``cold start``, or the name of a basis that was fitted.
        columns: names of the columns it reads.
        hinges: (column, knot).
        products: (column, column).
        weights: a constant, then one for each column, hinge and product; log odds.
    """

    basis: Text
    columns: tuple[Name, ...] = Field(max_length=_MAX_TERMS)
    hinges: tuple[tuple[Name, float], ...] = Field((), max_length=_MAX_TERMS)
    products: tuple[tuple[Name, Name], ...] = Field((), max_length=_MAX_TERMS)
    weights: tuple[float, ...] = Field(min_length=1, max_length=4 * _MAX_TERMS)

    @_model_validator(mode="after")
    def _is_a_regression(self) -> Self:
        self.logistic()
        return self

    @classmethod
    def of(cls, model: Logistic, basis: str) -> Branch:
        """A regression as the file keeps it."""
        return cls(
            basis=basis,
            columns=model.basis.columns,
            hinges=model.basis.hinges,
            products=model.basis.products,
            weights=model.weights,
        )

    def logistic(self) -> Logistic:
        """The regression.

        Raises:
            InvalidInput: the numbers of terms and weights differ, or a weight is unreasonable.
        """
        return Logistic(Basis(self.columns, self.hinges, self.products), self.weights)


class Branches(Part):
    """The risk model (`secondlook.edge.gate.risk.RiskModel`)."""

    present: Branch
    same_class: Branch
    confirmed: Branch
    refuted: Branch

    @_model_validator(mode="after")
    def _columns_are_known(self) -> Self:
        for name, known in (
            ("present", SIGHT),
            ("same_class", SIGHT),
            ("confirmed", VERIFIED),
            ("refuted", VERIFIED),
        ):
            branch: Branch = getattr(self, name)
            for column in branch.columns:
                if column not in known:
                    raise ValueError(f"{name}.columns: {column!r} is not known to this version")
        return self

    def risk(self) -> RiskModel:
        """The model that runs."""
        return RiskModel(
            self.present.logistic(),
            self.same_class.logistic(),
            self.confirmed.logistic(),
            self.refuted.logistic(),
        )


class ModelId(Part):
    """Which detector: its name, and its immutable release."""

    name: Text
    version: Text

    def is_same(self, name: str, version: str) -> bool:
        """Whether it is that one; a content hash tells more than a name."""
        return self.version == version and (version.startswith("sha256:") or self.name == name)

    def __str__(self) -> str:
        return f"{self.name} ({self.version})"


class ClipFacts(Part):
    """Footage that was watched.

    Attributes:
        name: its last part, for people.
        content: hash of its content; empty where it may differ each time.
        modified: when the file was changed last, ISO 8601 in UTC; empty where it is no file.
        frames: analysed frames.
        hours: of its own time.
        analysis_fps: analysed frames a second of its own time; 0: every frame.
        size: width and height, pixels.
        held_out: only measured on, not trained on.
    """

    name: Text
    content: Text
    modified: Text
    frames: Count
    hours: Number
    analysis_fps: Number
    size: tuple[int, int]
    held_out: bool = False


class BranchChoice(Part):
    """Why a branch is what it is.

    Attributes:
        basis: what was chosen.
        penalty: of its fit; 0 of the cold start.
        rows: lessons there were.
        loss: mean log loss on what was left out in turn, nats.
        cold_loss: the cold start's on the same.
        worst_gain: the smallest of the gains over the cold start on what was left out, nats.
    """

    basis: Text
    penalty: Number
    rows: Count
    loss: float
    cold_loss: float
    worst_gain: float


class ClipScore(Part):
    """F1 of the edge's answers without a cloud, against the heavy model, on one clip.

    Attributes:
        clip: its name.
        plain: of the light model's boxes from a fixed score on.
        cold: of the cold-start rule.
        trained: of the model in this file.
        left_out: of a model that was trained in the same way without this clip; ``None`` where
            there is no other, or where the clip was held out: then ``trained`` is that.
    """

    clip: Text
    plain: Share
    cold: Share
    trained: Share
    left_out: Share | None = None


class Point(Part):
    """What was measured at one threshold.

    Attributes:
        threshold: ``gate.threshold``.
        frames: how many.
        f1: agreement of the final answers with the heavy model on untouched frames.
        recall: share of the heavy model's objects that the final answers hold.
        miss_rate: share of frames whose final answer lacks one of them or more.
        kb_per_frame: to the cloud, all that passed after the first frame; KB = 1000 bytes.
        start_kb: what passed with the first frame, the first whole picture.
        inferences_per_frame: of the heavy model.
    """

    threshold: Share
    frames: Count
    f1: Share
    recall: Share
    miss_rate: Share
    kb_per_frame: Number
    start_kb: Number
    inferences_per_frame: Number


class ClipPoints(Part):
    """The points of one clip."""

    clip: Text
    points: tuple[Point, ...] = Field(max_length=64)


class Promise(Part):
    """What to expect, measured on real payloads.

    Attributes:
        how: which frames, and what the model that was measured had been trained on.
        carrier: how the regions travelled.
        verdict_latency_s: from a frame to its verdict, as it was set.
        settings: of the pipeline that ran, by ``section.name``; of the encoder, ``canvas.name``.
        points: of all clips together.
        clips: of each.
    """

    how: Text
    carrier: Text
    verdict_latency_s: Number
    settings: dict[Name, Setting] = Field(max_length=256)
    points: tuple[Point, ...] = Field(max_length=64)
    clips: tuple[ClipPoints, ...] = Field(max_length=256)


class Goal(Part):
    """What the user asked for.

    Attributes:
        budget_kb_per_frame, accuracy: one of the two, or none.
        met: whether a measured point keeps it; the threshold is the best there is.
    """

    budget_kb_per_frame: Number | None = None
    accuracy: Share | None = None
    met: bool = False
