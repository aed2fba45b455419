"""A replay of the log's own policy says the same; another one says what it would have done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.decisions import a_frame, header, heavy, run, street
from support.edge import Seen

from secondlook.edge.decisions.comparison import Comparison
from secondlook.edge.decisions.policy import OtherPolicy, not_replayed, policy_of
from secondlook.edge.decisions.reading import Story
from secondlook.edge.decisions.records import LogHeader
from secondlook.edge.decisions.replay import Replay
from secondlook.edge.gate import RiskGate
from secondlook.shared.errors import InvalidConfig, InvalidInput
from secondlook.shared.values import Escalation, Verdict

TABLES = frozenset({"gate", "budget", "trust", "cameras", "detector"})


def replayed(
    stories: list[Story], toml: str | None = None, folder: Path | None = None
) -> Comparison:
    policy = policy_of
    if toml is not None:
        assert folder is not None
        (folder / "other.toml").write_text(toml)
        policy = OtherPolicy(folder / "other.toml", TABLES).over
    (result,) = Replay(policy, [stories[0].header]).run(stories)
    return result


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"trust": {"audit_rate": 0.2, "seed": 7}},
        {"gate": {"threshold": 0.03, "max_regions": 1}},
        {"budget": {"kb_per_s": 1.5}, "trust": {"audit_rate": 0.1}},
        {"budget": {"kb_per_s": 3, "cloud_per_s": 1.5}},
        {"budget": {"kb_per_s": 0.4}},
    ],
    ids=["plain", "audits", "all asked", "bytes", "inferences", "starved"],
)
def test_the_own_policy_reproduces_every_choice(tmp_path: Path, sections: dict) -> None:  # type: ignore[type-arg]
    stories = run(tmp_path, **sections)
    for story in stories:
        gate = RiskGate(policy_of(story.header).gate)
        assert gate.choose(story.frame.evidence, story.frame.terms) == story.frame.choice
    result = replayed(stories)
    assert result.exact == result.same == result.frames == 120
    assert result.first_difference is None
    assert result.done == result.other
    assert result.sent == sum(any(w.way == "sent" for w in story.ways) for story in stories)
    wire = sum(way.wire_bytes for story in stories for way in story.ways)
    assert result.done.wire_bytes == pytest.approx(wire)


def test_a_higher_threshold_asks_less_and_leaves_more(tmp_path: Path) -> None:
    stories = run(tmp_path)
    result = replayed(stories, "[gate]\nthreshold = 0.6\n", tmp_path)
    assert result.other.questions < result.done.questions
    assert result.other.wire_bytes < result.done.wire_bytes
    assert result.other.loss_left > result.done.loss_left
    assert result.other.corrections <= result.done.corrections == result.corrections
    assert result.first_difference is not None


def test_a_lower_threshold_asks_more(tmp_path: Path) -> None:
    result = replayed(run(tmp_path), "[gate]\nthreshold = 0.01\n", tmp_path)
    assert result.other.questions > result.done.questions
    assert result.other.loss_left < result.done.loss_left
    assert result.other.corrections == result.corrections


def test_a_budget_is_kept_by_the_very_controller(tmp_path: Path) -> None:
    stories = run(tmp_path, gate={"threshold": 0.02, "again_s": 0, "again_factor": 1})
    result = replayed(stories, "[budget]\nkb_per_s = 1\n", tmp_path)
    assert 0 < result.other.wire_bytes <= 1000 * (result.seconds + 10)
    assert result.other.wire_bytes < result.done.wire_bytes
    assert result.other.questions < result.done.questions


def test_other_audits_and_another_coin(tmp_path: Path) -> None:
    stories = run(tmp_path, trust={"audit_rate": 0.1})
    more = replayed(stories, "[trust]\naudit_rate = 0.5\n", tmp_path)
    assert more.other.audits > more.done.audits > 0
    coin = replayed(stories, "[trust]\nseed = 99\n", tmp_path)
    assert coin.other.audits != 0
    assert coin.first_difference is not None
    none = replayed(stories, "[trust]\naudit_rate = 0.0\n", tmp_path)
    assert none.other.audits == 0


def test_audits_tell_what_was_really_missed(tmp_path: Path) -> None:
    def boxes(number: int) -> tuple[Seen, ...]:
        # A bus that the light model hardly sees lies under the threshold of publishing.
        return (*street(number), ((100, 20, 180, 70), 0.25, "bottle"))

    def judge(asked: Escalation, number: int) -> Verdict:
        return heavy(asked, number)

    stories = run(
        tmp_path, boxes=boxes, judge=judge, trust={"audit_rate": 0.4}, gate={"threshold": 0.9}
    )
    audits = [s.verdict for s in stories if s.verdict is not None and s.verdict.missed is not None]
    assert audits
    # Somebody whom the light model never sees is missed wherever no verdict keeps them.
    assert any(one.name == "person" for verdict in audits for one in verdict.missed or ())
    result = replayed(stories, "[gate]\nthreshold = 0.01\n", tmp_path)
    assert result.done.audited == result.other.audited == len(audits)
    assert result.other.missed <= result.done.missed
    assert result.done.missed_frames <= result.done.missed


def test_cameras_share_the_budget_of_a_replay(tmp_path: Path) -> None:
    eager = {"threshold": 0.02, "again_s": 0, "again_factor": 1}
    left = run(tmp_path, camera="a", gate=eager)
    right = run(tmp_path, camera="b", gate=eager)
    (tmp_path / "other.toml").write_text("[budget]\nkb_per_s = 2\n")
    policy = OtherPolicy(tmp_path / "other.toml", TABLES).over
    merged = sorted([*left, *right], key=lambda story: story.frame.captured_at)
    results = Replay(policy, [left[0].header, right[0].header]).run(merged)
    assert {result.camera for result in results} == {"a", "b"}
    spent = sum(result.other.wire_bytes for result in results)
    assert 0 < spent <= 2000 * (12 + 10)


def test_without_a_verdict_nothing_is_claimed() -> None:
    stories = [Story(header(), a_frame(n)) for n in range(30)]
    result = replayed(stories)
    assert result.exact == 30
    assert result.done.audited == result.corrections == result.sent == 0
    assert result.done.wire_bytes == 0
    assert result.seconds == pytest.approx(2.9)


def test_what_the_file_does_not_say_stays(tmp_path: Path) -> None:
    head = header(gate={"threshold": 0.3, "max_regions": 5}, budget={"kb_per_s": 2})
    (tmp_path / "other.toml").write_text(
        "[gate]\nthreshold = 0.4\n[budget]\nmb_per_day = 100\n[detector]\nthreads = 2\n"
        '[[cameras]]\nid = "gate"\nurl = "x"\nbudget = {kb_per_s = 1}\n'
    )
    other = OtherPolicy(tmp_path / "other.toml", TABLES).over(head)
    assert (other.gate.threshold, other.gate.max_regions) == (0.4, 5)
    assert (other.budget.kb_per_s, other.budget.mb_per_day) == (None, 100)
    assert other.camera_budget is not None
    assert other.camera_budget.kb_per_s == 1
    assert other.limited
    assert not policy_of(header()).limited


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[gate]\nthreshhold = 0.3\n", "gate.threshhold is not a setting"),
        ("[gates]\nthreshold = 0.3\n", r"\[gates\] is not a table.*did you mean \[gate\]"),
        ("[gate]\nthreshold = 7\n", "gate.threshold"),
        ("gate = 3\n", "gate is not a table"),
        ("[detector]\nthreads = 2\n", "says nothing about what is asked"),
        ("not toml", "not TOML"),
    ],
)
def test_a_policy_that_is_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "other.toml").write_text(text)
    with pytest.raises(InvalidConfig, match=told):
        OtherPolicy(tmp_path / "other.toml", TABLES).over(header())


def test_settings_that_shaped_the_evidence_are_named() -> None:
    own = policy_of(header())
    other = policy_of(header(gate={"classes": ["car"], "threshold": 0.5, "ttl_s": 1}))
    assert not_replayed(own, other) == ["gate.classes", "gate.ttl_s"]


def test_settings_of_another_version_are_left_out_and_wrong_ones_told() -> None:
    head = header()
    later = replace(head, settings={**head.settings, "magic": {"x": 1}})
    assert policy_of(later) == policy_of(head)
    wrong: LogHeader = replace(head, settings={"gate": {"threshold": "much"}})
    with pytest.raises(InvalidInput, match=r"settings in the log of gate.*gate\.threshold"):
        policy_of(wrong)
