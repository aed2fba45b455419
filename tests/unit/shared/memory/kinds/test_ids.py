from __future__ import annotations

import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds import (
    GateState,
    ScenePrior,
    TrackVerdict,
    check_known,
    context_id,
    kind_of,
    rule_for,
)
from secondlook.shared.memory.merging import DEFAULT


def test_ids_name_site_camera_kind_and_key() -> None:
    assert context_id("north/gate-1", TrackVerdict, "t17") == "north/gate-1/verdict/t17"
    assert context_id("gate-1", "scene", "now") == "default/gate-1/scene/now"
    assert context_id("gate-1", GateState, "Tür 3") == "default/gate-1/gate/Tür 3"


@pytest.mark.parametrize(
    ("camera", "kind", "key"),
    [
        ("", "gate", "now"),
        ("a/b/c", "gate", "now"),
        ("/b", "gate", "now"),
        ("a/", "gate", "now"),
        ("..", "gate", "now"),
        ("../b", "gate", "now"),
        ("a\n", "gate", "now"),
        ("c", "", "now"),
        ("c", "Gate", "now"),
        ("c", "a/b", "now"),
        ("c", "gate\n", "now"),
        ("c", "x" * 65, "now"),
        ("c", "gate", ""),
        ("c", "gate", "."),
        ("c", "gate", ".."),
        ("c", "gate", "a/b"),
        ("c", "gate", "a\x00"),
        ("c", "gate", "\ud800"),
        ("c", "gate", "x" * 10_000),
    ],
)
def test_hostile_parts_make_no_id(camera: str, kind: str, key: str) -> None:
    with pytest.raises(InvalidInput):
        context_id(camera, kind, key)


def test_the_kind_is_the_third_of_four_segments() -> None:
    assert kind_of("north/gate-1/verdict/t17") == "verdict"
    for other in ("counter", "a/b", "a/b/verdict", "a/b/verdict/c/d", ""):
        assert kind_of(other) is None


def test_each_kind_has_its_rule_and_the_unknown_the_default() -> None:
    assert rule_for("s/c/scene/now") is ScenePrior.RULE
    assert rule_for("s/c/verdict/1") is TrackVerdict.RULE
    for other in ("s/c/else/1", "counter", "scene", "s/c/scene/now/more"):
        assert rule_for(other) is DEFAULT


def test_known_kinds_are_checked_and_others_may_hold_anything() -> None:
    check_known("s/c/gate/now", GateState(asked=1).document())
    check_known("s/c/else/now", {"any": "thing"})
    check_known("note", {})
    with pytest.raises(InvalidInput, match="gate: asked"):
        check_known("s/c/gate/now", {"schema": 1, "asked": "one"})
    with pytest.raises(InvalidInput, match="schema 2 of kind 'gate'"):
        check_known("s/c/gate/now", {"schema": 2})
