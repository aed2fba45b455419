from __future__ import annotations

import base64
import json
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from secondlook.shared.errors import InvalidInput, MergeConflict
from secondlook.shared.memory import merge
from secondlook.shared.memory.kinds import (
    KINDS,
    FalsePositive,
    GateState,
    Kind,
    Look,
    ModelPin,
    ScenePrior,
    ScoreCalibration,
    SiteMode,
    TrackVerdict,
    TrustWindow,
)
from secondlook.shared.memory.kinds.cameras import MAX_CELLS
from secondlook.shared.memory.kinds.kind import MAX_COUNT
from secondlook.shared.memory.kinds.mode import Pair, Tally
from secondlook.shared.memory.kinds.place import MAX_LOOK_PIXELS
from secondlook.shared.memory.kinds.tracks import MAX_EMBEDDING
from secondlook.shared.memory.kinds.trust import MAX_CAMERAS, MAX_REASONS, MAX_THRESHOLDS
from secondlook.shared.memory.record import encode

LOOK = Look.cut(4, 2, 3, 2, b"abcdef", (160, 90))
PLACE: dict[str, Any] = {
    "at_s": 1000.5,
    "until_s": 1005.5,
    "frame_width": 640,
    "frame_height": 360,
    "box": (10.0, 20.5, 30.0, 60.0),
    "look": LOOK,
    "edge_class": "truck",
    "edge_score": 0.4,
    "model": "street_heavy",
    "model_version": "1",
}
VERDICT = TrackVerdict(
    **PLACE,
    class_name="car",
    score=0.9,
    refuted=False,
    confirmations=2,
    correction=(0.1, 0.0, -0.1, 0.0),
    embedding=(0.5, -0.25),
)
FALSE_POSITIVE = FalsePositive(**PLACE, seen=3)
GATE = GateState(background_at_s=5.0, asked=4, answered=3, audits=2, missed=1)
SCENE = ScenePrior(columns=2, rows=1, frames=7, counts={"car": (1, 2), "bus": (0, 3)})
PIN = ModelPin(model="street_light", version="3", at_s=9.0, by="operator")
TRUST = TrustWindow(
    started_s=10.0,
    at_s=31.0,
    ended_s=30.0,
    alpha=0.01,
    delta=0.05,
    audit_rate=0.02,
    gate="f00d",
    model="street_heavy",
    model_version="1",
    thresholds=(0.0, 0.1, 0.5),
    frames=20_000,
    known=40,
    audits=400,
    misses=(0, 0, 7),
    known_misses=(0, 1, 2),
    certified_tau=0.1,
    bound=0.0075,
    state="certified",
    reasons=("at threshold 0.1 at most 0.750% of frames miss an object",),
    tau=0.1,
    alarms=1,
    cameras=("yard/gate", "yard/door"),
)
MODE = SiteMode(
    at_s=50.0,
    mode="canvas",
    settled=True,
    reasons=("the gate is worth its bytes",),
    since_s=20.0,
    changes=1,
    looks=3,
    edge=Tally(count=4, total=3.0, squares=2.5),
    gated=Tally(count=4, total=3.5, squares=3.25),
    gained=Tally(count=4, total=0.5, squares=0.25),
    lost=Tally(count=4),
    full=Tally(count=2, total=1.75, squares=1.5625),
    full_edge=Pair(gained=Tally(count=2, total=0.5, squares=0.25), lost=Tally(count=2)),
    full_gate=Pair(gained=Tally(count=2), lost=Tally(count=2)),
    bytes_per_s={"mosaic": 900.0, "canvas": 700.5},
)
CALIBRATION = ScoreCalibration(
    gate="f00d",
    model="street_heavy 1",
    at_s=60.0,
    low=-4.0,
    high=4.0,
    seen={"new/small/car": (300, 0, 100)},
    right={"new/small/car": (200, 0, 100)},
    squares={"new/small/car": 40_000},
    trial={"new": (200, 90, 80)},
)
ALL: tuple[Kind, ...] = (VERDICT, FALSE_POSITIVE, GATE, SCENE, PIN, TRUST, MODE, CALIBRATION)

PLACE_ON_DISK = {
    **PLACE,
    "schema": 1,
    "box": [10.0, 20.5, 30.0, 60.0],
    "look": {
        "left": 4,
        "top": 2,
        "width": 3,
        "height": 2,
        "thumbnail_width": 160,
        "thumbnail_height": 90,
        "pixels": "YWJjZGVm",
    },
}
# What older readers expect: a change here is a change of the schema.
ON_DISK: dict[str, dict[str, Any]] = {
    "verdict": {
        **PLACE_ON_DISK,
        "class_name": "car",
        "score": 0.9,
        "refuted": False,
        "confirmations": 2,
        "correction": [0.1, 0.0, -0.1, 0.0],
        "embedding": [0.5, -0.25],
    },
    "false-positive": {**PLACE_ON_DISK, "seen": 3},
    "gate": {
        "schema": 1,
        "background_at_s": 5.0,
        "asked": 4,
        "answered": 3,
        "audits": 2,
        "missed": 1,
    },
    "scene": {
        "schema": 1,
        "columns": 2,
        "rows": 1,
        "frames": 7,
        "counts": {"car": [1, 2], "bus": [0, 3]},
    },
    "model": {"schema": 1, "model": "street_light", "version": "3", "at_s": 9.0, "by": "operator"},
    "trust": {
        "schema": 2,
        "started_s": 10.0,
        "at_s": 31.0,
        "ended_s": 30.0,
        "alpha": 0.01,
        "delta": 0.05,
        "audit_rate": 0.02,
        "gate": "f00d",
        "model": "street_heavy",
        "model_version": "1",
        "thresholds": [0.0, 0.1, 0.5],
        "frames": 20_000,
        "known": 40,
        "audits": 400,
        "misses": [0, 0, 7],
        "known_misses": [0, 1, 2],
        "lost": 0,
        "awaited": 0,
        "spoilt": "",
        "certified_tau": 0.1,
        "bound": 0.0075,
        "state": "certified",
        "reasons": ["at threshold 0.1 at most 0.750% of frames miss an object"],
        "tau": 0.1,
        "alarms": 1,
        "cameras": ["yard/gate", "yard/door"],
    },
    "selftest": {
        "schema": 2,
        "at_s": 50.0,
        "mode": "canvas",
        "settled": True,
        "reasons": ["the gate is worth its bytes"],
        "since_s": 20.0,
        "changes": 1,
        "looks": 3,
        "edge": {"count": 4, "total": 3.0, "squares": 2.5},
        "gated": {"count": 4, "total": 3.5, "squares": 3.25},
        "gained": {"count": 4, "total": 0.5, "squares": 0.25},
        "lost": {"count": 4, "total": 0.0, "squares": 0.0},
        "full": {"count": 2, "total": 1.75, "squares": 1.5625},
        "full_edge": {
            "gained": {"count": 2, "total": 0.5, "squares": 0.25},
            "lost": {"count": 2, "total": 0.0, "squares": 0.0},
        },
        "full_gate": {
            "gained": {"count": 2, "total": 0.0, "squares": 0.0},
            "lost": {"count": 2, "total": 0.0, "squares": 0.0},
        },
        "bytes_per_s": {"mosaic": 900.0, "canvas": 700.5},
    },
    "calibration": {
        "schema": 1,
        "gate": "f00d",
        "model": "street_heavy 1",
        "at_s": 60.0,
        "low": -4.0,
        "high": 4.0,
        "seen": {"new/small/car": [300, 0, 100]},
        "right": {"new/small/car": [200, 0, 100]},
        "squares": {"new/small/car": 40_000},
        "trial": {"new": [200, 90, 80]},
    },
}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.KIND)
def test_documents_are_what_they_were_and_come_back(kind: Kind) -> None:
    assert KINDS[kind.KIND] is type(kind)
    document = kind.document()
    assert json.loads(encode(document)) == ON_DISK[kind.KIND]
    assert type(kind).of(json.loads(encode(document))) == kind


def test_every_kind_is_tested() -> None:
    assert set(KINDS) == {kind.KIND for kind in ALL} == set(ON_DISK)


def test_what_is_not_known_is_left_out() -> None:
    verdict = TrackVerdict(
        **{**PLACE, "edge_class": None}, class_name="car", score=1.0, refuted=False
    )
    assert not {"edge_class", "embedding"} & verdict.document().keys()
    assert TrackVerdict.of(verdict.document()) == verdict
    assert GateState().document().keys() == {"schema", "asked", "answered", "audits", "missed"}


def test_whole_numbers_pass_for_floats_and_nothing_else_passes_for_anything() -> None:
    assert TrackVerdict.of({**ON_DISK["verdict"], "at_s": 1000}).at_s == 1000.0
    with pytest.raises(InvalidInput, match=r"verdict: confirmations"):
        TrackVerdict.of({**ON_DISK["verdict"], "confirmations": 2.0})


def test_the_pixels_of_a_look_come_back() -> None:
    assert LOOK.grey() == b"abcdef"


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.KIND)
@pytest.mark.parametrize("schema", [0, -1, True, "1", 1.0, None, []])
def test_a_schema_that_is_none_is_refused(kind: Kind, schema: Any) -> None:
    with pytest.raises(InvalidInput, match=f"{kind.KIND}: schema"):
        type(kind).of({**kind.document(), "schema": schema})
    bare = kind.document()
    del bare["schema"]
    with pytest.raises(InvalidInput, match=f"{kind.KIND}: schema"):
        type(kind).of(bare)


def test_a_newer_schema_is_refused_with_what_is_known() -> None:
    with pytest.raises(
        InvalidInput, match="schema 7 of kind 'verdict'; this Secondlook knows up to 1"
    ):
        TrackVerdict.of({"schema": 7, "what": "ever"})


def test_a_self_test_from_before_full_streams_were_measured_is_still_known() -> None:
    old = {**MODE.document(), "schema": 1}
    for name in ("full", "full_edge", "full_gate"):
        del old[name]
    known = SiteMode.of(old)
    assert (known.mode, known.gained, known.full.count) == (MODE.mode, MODE.gained, 0)


def test_older_schemas_are_upgraded_step_by_step() -> None:
    class Door(Kind):
        KIND: ClassVar[str] = "door"
        SCHEMA: ClassVar[int] = 3

        width_px: int

        @classmethod
        def upgrade(cls, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
            if schema == 1:
                return {"width": fields["w"]}
            return {"width_px": fields["width"]}

    assert Door.of({"schema": 1, "w": 3}) == Door.of({"schema": 2, "width": 3}) == Door(width_px=3)
    assert Door(width_px=3).document() == {"schema": 3, "width_px": 3}
    with pytest.raises(InvalidInput, match="schema 4"):
        Door.of({"schema": 4, "width_px": 3})


def wrong(kind: type[Kind], name: str, value: Any, where: str) -> Any:
    return pytest.param(kind, name, value, where, id=f"{kind.KIND} {name} {str(value)[:20]}")


PIXELS = base64.b64encode(bytes(6)).decode()
VERDICT_LOOK = ON_DISK["verdict"]["look"]


def look(**changes: Any) -> dict[str, Any]:
    return {**VERDICT_LOOK, **changes}


@pytest.mark.parametrize(
    ("kind", "name", "value", "where"),
    [
        wrong(TrackVerdict, "at_s", -1, "at_s"),
        wrong(TrackVerdict, "at_s", 1e12, "at_s"),
        wrong(TrackVerdict, "at_s", "now", "at_s"),
        wrong(TrackVerdict, "at_s", True, "at_s"),
        wrong(TrackVerdict, "at_s", None, "at_s"),
        wrong(TrackVerdict, "at_s", float("nan"), "at_s"),
        wrong(TrackVerdict, "until_s", 999.0, "until_s"),
        wrong(TrackVerdict, "class_name", "", "class_name"),
        wrong(TrackVerdict, "class_name", "x" * 129, "class_name"),
        wrong(TrackVerdict, "score", 1.01, "score"),
        wrong(TrackVerdict, "refuted", 1, "refuted"),
        wrong(TrackVerdict, "confirmations", -1, "confirmations"),
        wrong(TrackVerdict, "confirmations", MAX_COUNT + 1, "confirmations"),
        wrong(TrackVerdict, "frame_width", 0, "frame_width"),
        wrong(TrackVerdict, "frame_height", 2**31, "frame_height"),
        wrong(TrackVerdict, "box", [1, 2, 3], "box"),
        wrong(TrackVerdict, "box", [1, 2, 3, 4, 5], "box"),
        wrong(TrackVerdict, "box", [3, 2, 1, 4], "box"),
        wrong(TrackVerdict, "box", [1, 4, 3, 2], "box"),
        wrong(TrackVerdict, "box", [1, 2, 3, 1e9], "box"),
        wrong(TrackVerdict, "box", {"0": 1}, "box"),
        wrong(TrackVerdict, "correction", [0, 0, 0], "correction"),
        wrong(TrackVerdict, "correction", [0, 0, 0, 1e7], "correction"),
        wrong(TrackVerdict, "embedding", [], "embedding"),
        wrong(TrackVerdict, "embedding", [0.5] * (MAX_EMBEDDING + 1), "embedding"),
        wrong(TrackVerdict, "embedding", ["0.5"], "embedding"),
        wrong(TrackVerdict, "look", None, "look"),
        wrong(TrackVerdict, "look", look(left=158), "look"),
        wrong(TrackVerdict, "look", look(top=89), "look"),
        wrong(TrackVerdict, "look", look(left=-1), "look.left"),
        wrong(TrackVerdict, "look", look(width=0), "look.width"),
        wrong(TrackVerdict, "look", look(height=3), "look"),
        wrong(TrackVerdict, "look", look(thumbnail_width=10**6), "look.thumbnail_width"),
        wrong(TrackVerdict, "look", look(pixels="YWJ"), "look"),
        wrong(TrackVerdict, "look", look(pixels="YWJj\nZGVm"), "look"),
        wrong(TrackVerdict, "look", look(pixels="ÄÖÜÄÖÜÄÖ"), "look"),
        wrong(TrackVerdict, "look", look(pixels="A" * 40_000), "look.pixels"),
        wrong(TrackVerdict, "look", look(colour="red"), "look.colour"),
        wrong(TrackVerdict, "typo", 1, "typo"),
        wrong(FalsePositive, "seen", 1.5, "seen"),
        wrong(FalsePositive, "class_name", "car", "class_name"),
        wrong(FalsePositive, "until_s", 0, "until_s"),
        wrong(GateState, "asked", -1, "asked"),
        wrong(GateState, "asked", 10**30, "asked"),
        wrong(GateState, "background_at_s", "5", "background_at_s"),
        wrong(ScenePrior, "columns", 0, "columns"),
        wrong(ScenePrior, "columns", 3, "counts.bus"),
        wrong(ScenePrior, "rows", 65, "rows"),
        wrong(ScenePrior, "counts", {"car": [1]}, "counts.car"),
        wrong(ScenePrior, "counts", {"car": [1, -1]}, "counts.car.1"),
        wrong(ScenePrior, "counts", {"car": [1, True]}, "counts.car.1"),
        wrong(ScenePrior, "counts", {"": [1, 1]}, "counts"),
        wrong(ScenePrior, "counts", {str(n): [0, 0] for n in range(MAX_CELLS)}, "classes"),
        wrong(ScenePrior, "counts", [[1, 1]], "counts"),
        wrong(ModelPin, "model", "", "model"),
        wrong(ModelPin, "version", 3, "version"),
        wrong(ModelPin, "by", "x" * 200, "by"),
        wrong(SiteMode, "mode", "half", "mode"),
        wrong(SiteMode, "bytes_per_s", {"cloud": 1.0}, "bytes_per_s"),
        wrong(SiteMode, "bytes_per_s", {"full": -1.0}, "bytes_per_s"),
        wrong(SiteMode, "edge", {"count": 1, "total": 2.0, "squares": 0.5}, "edge"),
        wrong(SiteMode, "edge", {"count": 4, "total": 2.0, "squares": 2.5}, "edge"),
        wrong(TrustWindow, "alpha", 0, "alpha"),
        wrong(TrustWindow, "audit_rate", 1.5, "audit_rate"),
        wrong(TrustWindow, "thresholds", [0.0, 0.5, 0.1], "thresholds"),
        wrong(TrustWindow, "thresholds", [0.1, 0.2, 0.5], "thresholds"),
        wrong(TrustWindow, "thresholds", [0.0], "thresholds"),
        wrong(TrustWindow, "misses", [0, 0], "misses"),
        wrong(TrustWindow, "misses", [0, 8, 7], "misses"),
        wrong(TrustWindow, "misses", [0, 0, 401], "misses"),
        wrong(TrustWindow, "misses", [-1, 0, 7], "misses"),
        wrong(TrustWindow, "known_misses", [0, 1, 41], "known_misses"),
        wrong(TrustWindow, "frames", 439, "frames"),
        wrong(TrustWindow, "ended_s", 9.0, "ended_s"),
        wrong(TrustWindow, "state", "fine", "state"),
        wrong(TrustWindow, "gate", "", "gate"),
        wrong(TrustWindow, "bound", 1.1, "bound"),
        wrong(TrustWindow, "reasons", ["x" * 501], "reasons"),
        wrong(TrustWindow, "cameras", ["c"] * 257, "cameras"),
    ],
)
def test_wrong_fields_are_refused_and_named(
    kind: type[Kind], name: str, value: Any, where: str
) -> None:
    with pytest.raises(InvalidInput, match=where):
        kind.of({**ON_DISK[kind.KIND], name: value})


@pytest.mark.parametrize("document", [None, [], "x", {"schema": 1, "x": object()}, {1: 1}])
@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.KIND)
def test_what_is_no_document_is_refused(kind: type[Kind], document: Any) -> None:
    with pytest.raises(InvalidInput):
        kind.of(document)


def test_kinds_cannot_be_changed_or_made_wrong() -> None:
    with pytest.raises(ValidationError):
        GATE.asked = 5  # type: ignore[misc]
    with pytest.raises(ValueError, match="asked"):
        GateState(asked=-1)


def test_the_largest_of_each_kind_fits_into_a_record() -> None:
    side = 128
    place = {
        **PLACE,
        "look": Look.cut(0, 0, side, side, bytes(range(256)) * 64, (side, side)),
        "edge_class": "é" * 128,
        "model": "é" * 128,
        "model_version": "é" * 128,
    }
    assert side * side == MAX_LOOK_PIXELS
    odd = -123_456.789_012_345_6
    encode(
        TrackVerdict(
            **place,
            class_name="é" * 128,
            score=0.1 + 0.2,
            refuted=False,
            embedding=(odd,) * MAX_EMBEDDING,
        ).document()
    )
    counts = (MAX_COUNT // 4,) * MAX_THRESHOLDS
    encode(
        TRUST.model_copy(
            update={
                "thresholds": tuple(odd / -1e9 * n for n in range(MAX_THRESHOLDS)),
                "misses": counts,
                "known_misses": counts,
                "reasons": ("é" * 500,) * MAX_REASONS,
                "spoilt": "é" * 500,
                "cameras": ("c" * 128,) * MAX_CAMERAS,
            }
        ).document()
    )
    cells = (MAX_COUNT,) * 1024
    scene = ScenePrior(
        columns=64,
        rows=16,
        frames=MAX_COUNT,
        counts={f"class {n}": cells for n in range(MAX_CELLS // 1024)},
    )
    assert ScenePrior.of(scene.document()) == scene


# How they merge


def merged(base: Kind, ours: Kind, theirs: Kind) -> Kind:
    kind = type(base)
    sides = base.document(), ours.document(), theirs.document()
    one = kind.of(merge(*sides, kind.RULE))
    assert kind.of(merge(sides[0], sides[2], sides[1], kind.RULE)) == one
    return one


def test_the_newer_verdict_stands_as_a_whole() -> None:
    newer = VERDICT.model_copy(update={"at_s": 1002.0, "class_name": "bus", "embedding": None})
    older = VERDICT.model_copy(update={"at_s": 1001.0, "score": 0.99, "confirmations": 3})
    assert merged(VERDICT, newer, older) == newer


def test_sightings_of_a_false_positive_add_up_and_the_newer_look_stands() -> None:
    newer = FALSE_POSITIVE.model_copy(
        update={"at_s": 1002.0, "seen": 4, "box": (1.0, 1.0, 2.0, 2.0)}
    )
    older = FALSE_POSITIVE.model_copy(update={"at_s": 1001.0, "seen": 5})
    assert merged(FALSE_POSITIVE, newer, older) == newer.model_copy(update={"seen": 6})


def test_the_gate_counts_for_both_sides() -> None:
    ours = GATE.model_copy(update={"asked": 6, "background_at_s": 8.0})
    theirs = GATE.model_copy(update={"asked": 5, "missed": 2, "background_at_s": 6.0})
    assert merged(GATE, ours, theirs) == GateState(
        background_at_s=8.0, asked=7, answered=3, audits=2, missed=2
    )
    assert merged(GateState(), ours, theirs) == GateState(
        background_at_s=8.0, asked=11, answered=6, audits=4, missed=3
    )


def test_scenes_of_one_shape_add_up() -> None:
    ours = ScenePrior(columns=2, rows=1, frames=8, counts={"car": (2, 2), "bus": (0, 3)})
    theirs = ScenePrior(
        columns=2, rows=1, frames=9, counts={"car": (1, 3), "bus": (0, 3), "dog": (1, 0)}
    )
    assert merged(SCENE, ours, theirs) == ScenePrior(
        columns=2, rows=1, frames=10, counts={"car": (2, 3), "bus": (0, 3), "dog": (1, 0)}
    )


def test_scenes_of_different_shapes_are_a_conflict() -> None:
    turned = ScenePrior(columns=1, rows=2, frames=1, counts={"car": (1, 0)})
    other = SCENE.model_copy(update={"frames": 9})
    with pytest.raises(MergeConflict) as raised:
        merge(SCENE.document(), turned.document(), other.document(), ScenePrior.RULE)
    assert raised.value.path == "columns"


def test_the_newer_pin_stands() -> None:
    newer = PIN.model_copy(update={"at_s": 11.0, "version": "2"})
    older = PIN.model_copy(update={"at_s": 10.0, "version": "4"})
    assert merged(PIN, newer, older) == newer


def test_the_newer_count_of_a_window_stands_as_a_whole() -> None:
    newer = TRUST.model_copy(update={"at_s": 41.0, "lost": 1, "state": "uncertified"})
    older = TRUST.model_copy(update={"at_s": 40.0, "audits": 401, "frames": 30_000})
    assert merged(TRUST, newer, older) == newer
