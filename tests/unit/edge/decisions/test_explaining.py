"""The story of a frame: found by number or time, told in words and in a picture."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.decisions import a_frame, header, read, run, write

from secondlook.edge.control.allowance import Allowance
from secondlook.edge.decisions import (
    DecisionSettings,
    MissedObject,
    PictureRecord,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.edge.decisions.explaining import explain
from secondlook.edge.decisions.finding import find, picture_for
from secondlook.edge.decisions.picture import COLOURS, REGION_COLOUR, draw_explanation, encoded_png
from secondlook.edge.decisions.reading import Problems, Story, camera_folder, cameras
from secondlook.edge.gate import Choice
from secondlook.shared.errors import InvalidInput, NotFound
from secondlook.shared.values import Purpose

ASKED = Choice((1,), ("car is right with probability 0.50",), reasons=("car is right",), coin=0.5)


def story(choice: Choice = ASKED, **parts: object) -> Story:
    frame = replace(a_frame(7, 3), choice=choice, regions=((16, 32, 64, 48),))
    quiet = replace(
        frame.evidence,
        loss=np.array([0.01, 0.5, 0.25]),
        verdict_age_s=np.array([np.nan, np.nan, 0.125]),
        in_flight=np.array([False, False, False]),
        names=("person", "car", "bottle"),
    )
    return Story(header(), replace(frame, evidence=quiet), **parts)  # type: ignore[arg-type]


SENT = SentRecord(7, "s-7", "unsure", "mosaic", "webp", 85, 1234, ((16, 32, 64, 48),), 2, 10.0)


def test_what_was_sent_and_what_came_of_it() -> None:
    verdict = VerdictRecord(
        7, "s-7", "heavy 1", (1,), (2,), ((3, "bus"),), (("person", (1, 2, 11, 22)),), 2, 1,
        None, 10.25,
    )  # fmt: skip
    said = explain(
        story(sent=SENT, ways=[WayRecord(7, "s-7", "sent", wire_bytes=1500)], verdict=verdict)
    )
    assert said.headline == "sent: 1 candidate"
    assert said.sent == (
        "1 region, 4.0% of the frame, as mosaic (webp 85): 1,234 bytes, request s-7",
        "about 1,500 bytes on the wire, framing included",
        "2 objects blurred first",
    )
    assert "the verdict of heavy 1 after 0.25 s: 1 confirmed, 1 refuted" in said.after[0]
    assert said.after[1] == "new: person at 1,2, 10x20 px"
    assert [one.effect for one in said.candidates] == [
        "refuted: nothing is there", "it is a bus", "confirmed",
    ]  # fmt: skip


def test_each_candidate_has_its_fate() -> None:
    said = explain(story(sent=SENT))
    assert [(one.name, one.fate) for one in said.candidates] == [
        ("car", "asked"), ("bottle", "known"), ("person", "confident"),
    ]  # fmt: skip
    assert "not again before 0.25 s" in said.candidates[1].why
    assert said.candidates[2].why == "a verdict saves 0.010, below 0.12"


def test_other_thresholds_are_tried_on_the_same_evidence() -> None:
    said = explain(story(sent=SENT))
    assert [one.threshold for one in said.what_ifs] == [0.03, 0.06, 0.12, 0.24, 0.48]
    asked = [one.asked for one in said.what_ifs]
    assert asked == sorted(asked, reverse=True)
    assert asked[-1] == 1
    # The real size says what estimates are worth.
    assert said.what_ifs[2].bytes == pytest.approx(1234)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"ways": [WayRecord(7, "", "held", "the cloud could not be reached")]},
         "not sent: 1 candidate should have gone, but the cloud could not be reached"),
        ({"sent": SENT, "ways": [WayRecord(7, "s-7", "disk")]}, "kept on disk: 1 candidate"),
        ({"sent": SENT, "ways": [WayRecord(7, "s-7", "lost", "no budget was left")]},
         "not sent: 1 candidate was packed, but no budget was left"),
        ({}, "not sent: 1 candidate should have gone, but nothing was packed"),
    ],
)  # fmt: skip
def test_what_was_to_go_and_did_not(parts: dict[str, object], told: str) -> None:
    assert explain(story(**parts)).headline.startswith(told)


def test_what_was_not_asked() -> None:
    quiet = Choice(reasons=("nothing to ask",), coin=0.9)
    assert explain(story(quiet)).headline == "not sent: the edge's answer may stand"
    spent = Choice(reasons=("no budget",), coin=0.9, left=(1,))
    said = explain(story(spent))
    assert said.headline == "not sent: 1 unsure candidate, but the budget is spent"
    assert said.candidates[0].fate == "left out"


def test_an_audit_and_what_it_found() -> None:
    audit = Choice(whole_frame=True, purpose=Purpose.AUDIT, reasons=("audit",), coin=0.004)
    missed = (
        MissedObject("person", (0, 0, 10, 20), 2, 0.25),
        MissedObject("car", (0, 0, 10, 20)),
    )
    verdict = VerdictRecord(7, "s-7", "heavy 1", missed=missed, at_s=10.25)
    said = explain(story(audit, sent=SENT, verdict=verdict))
    assert said.headline == "sent: the whole frame, as an audit"
    assert "the audit found 2 objects that the answer had missed" in said.after
    assert any("a candidate of loss 0.250 would have shown it" in line for line in said.after)
    assert any("no candidate was near" in line for line in said.after)
    assert {one.fate for one in said.candidates} == {"asked"}
    assert "coin 0.0040, below the audit rate 0.01" in said.terms


def test_prices_and_limits_are_told() -> None:
    base = story(Choice(reasons=("dear",), coin=0.9))
    allowance = Allowance(1e-3, 0.5, 2500.0, 1.5, late=True, reasons=("budget 2 KB/s",))
    terms = replace(base.frame.terms, allowance=allowance, certified_loss=0.4)
    said = explain(replace(base, frame=replace(base.frame, terms=terms)))
    text = "\n".join(said.terms)
    for part in (
        "a KB must bring 1, an inference 0.5", "2.5 KB could be sent", "budget 2 KB/s",
        "1.5 inferences", "too late", "demands every loss from 0.4 on",
    ):  # fmt: skip
        assert part in text
    assert said.candidates[0].why.startswith("a verdict saves 0.500, its bytes cost")


def test_late_and_lost_verdicts() -> None:
    late = explain(story(sent=SENT, verdict=VerdictRecord(7, "s-7", late=True)))
    assert "no longer kept" in late.after[0]
    ways = [WayRecord(7, "s-7", "sent"), WayRecord(7, "s-7", "lost", "Unavailable: away")]
    assert explain(story(sent=SENT, ways=ways)).after == ("no verdict came: Unavailable: away",)
    assert explain(story(sent=SENT)).after == ("no verdict is on record (yet)",)


def test_the_document_is_plain_json() -> None:
    base = story()
    nothing = replace(base.frame.evidence, right=np.array([np.nan, 0.5, 0.5]))
    said = explain(replace(base, frame=replace(base.frame, evidence=nothing)))
    text = json.dumps(said.document(), allow_nan=False)
    assert json.loads(text)["candidates"][2]["right"] is None


def test_a_frame_is_found_by_number_word_and_time(tmp_path: Path) -> None:
    stories = run(tmp_path, frames=60)
    where, problems = tmp_path / "gate", Problems()
    assert find(where, "17", problems).frame.sequence == 17
    assert find(where, "last", problems).frame.sequence == 59
    asked = find(where, "last-asked", problems)
    assert asked.frame.sequence == [s.frame.sequence for s in stories if s.frame.asked][-1]
    assert asked.sent is not None
    at_s = stories[30].frame.captured_at
    assert find(where, f"{at_s + 0.04:.3f}", problems).frame.sequence == 30
    when = datetime.fromtimestamp(at_s, timezone.utc)
    assert find(where, f"{when:%Y-%m-%dT%H:%M:%S.%f}Z", problems).frame.sequence == 30
    local = datetime.fromtimestamp(at_s).astimezone()
    assert find(where, f"{local:%Y-%m-%d %H:%M:%S.%f}", problems).frame.sequence == 30


def test_frames_that_are_not_there_are_told_with_those_near(tmp_path: Path) -> None:
    write(tmp_path, header(), [a_frame(n) for n in (10, 11, 15)])
    where = tmp_path / "gate"
    for which, told in (
        ("3", "rotated away or never logged: the oldest frame is 10"),
        ("13", "the nearest frames are 11 and 15"),
        ("99", "the newest frame is 15"),
        ("2020-01-01T00:00:00", "no frame of that time; it goes from"),
    ):
        with pytest.raises(NotFound, match=told):
            find(where, which, Problems())
    for nonsense in ("yesterday", "-3", "1e400", "nan", ""):
        with pytest.raises(InvalidInput, match="is no frame"):
            find(where, nonsense, Problems())


def test_of_two_runs_the_latest_is_meant(tmp_path: Path) -> None:
    write(tmp_path, header(session="old"), [a_frame(4, 3), a_frame(5, 3)])
    write(tmp_path, header(session="new"), [a_frame(4, 5)])
    assert find(tmp_path / "gate", "4", Problems()).header.session == "new"
    assert find(tmp_path / "gate", "5", Problems()).header.session == "old"


def test_nothing_that_was_asked_and_nothing_at_all(tmp_path: Path) -> None:
    quiet = replace(a_frame(1), choice=Choice(reasons=("nothing",)))
    write(tmp_path, header(), [quiet])
    with pytest.raises(NotFound, match="was asked about; 1 were not"):
        find(tmp_path / "gate", "last-asked", Problems())
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match="no frame is in the log"):
        find(tmp_path / "empty", "last", Problems())


def test_cameras_of_sites_are_found_and_unknown_ones_told(tmp_path: Path) -> None:
    for camera in ("yard/gate", "yard/door", "street"):
        write(tmp_path, header(camera), [a_frame(0)])
    assert list(cameras(tmp_path)) == ["street", "yard/door", "yard/gate"]
    assert camera_folder(tmp_path / "yard" / "gate", "yard/gate") == tmp_path / "yard" / "gate"
    with pytest.raises(NotFound, match=r"'roof' is not in the log.*street, yard/door, yard/gate"):
        camera_folder(tmp_path, "roof")
    with pytest.raises(NotFound, match="there is no folder"):
        cameras(tmp_path / "missing")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(NotFound, match="no decision log"):
        cameras(tmp_path / "nothing")


def test_a_verdict_that_comes_to_a_later_run_belongs_to_its_frame(tmp_path: Path) -> None:
    sent = replace(SENT, request_id="old-7")
    write(tmp_path, header(session="old"), [a_frame(7), sent])
    late = VerdictRecord(7, "old-7", "heavy 1", late=True)
    write(tmp_path, header(session="new"), [a_frame(7), late])
    old, new = read(tmp_path)[0]
    assert old.verdict == late
    assert new.verdict is None


def test_an_audit_that_was_looked_at_twice_is_told_beside_it(tmp_path: Path) -> None:
    first = replace(SENT, purpose="audit")
    again = replace(SENT, request_id="s-7-again", purpose="refresh", carrier="canvas", size=999)
    ways = [
        WayRecord(7, "s-7", "sent", wire_bytes=1500),
        WayRecord(7, "s-7-again", "sent", wire_bytes=2000),
        WayRecord(7, "s-7-again", "lost", "cut"),
    ]
    write(tmp_path, header(), [a_frame(7), first, ways[0], again, *ways[1:]])
    (found,) = read(tmp_path)[0]
    assert (found.sent, found.again, found.ways) == (first, again, ways[:1])
    said = explain(found)
    assert "request s-7" in said.sent[0]
    assert "the whole frame once more, as canvas" in said.sent[-1]
    assert "999 bytes; an audit that is looked at twice" in said.sent[-1]
    assert not any("no verdict came" in line for line in said.after)


def test_the_picture_shows_boxes_regions_and_words(tmp_path: Path) -> None:
    settings = DecisionSettings(pictures="thumbnails", picture_every_s=0.5)
    run(tmp_path, frames=40, settings=settings)
    where = tmp_path / "gate"
    found = find(where, "last-asked", Problems())
    kept = picture_for(where, found, Problems())
    assert kept is not None
    drawn = draw_explanation(explain(found), *kept)
    assert drawn.shape[1] == 480
    assert drawn.shape[0] > 360
    colours = {tuple(pixel) for pixel in drawn[:360].reshape(-1, 3).tolist()}
    assert REGION_COLOUR in colours
    assert COLOURS["asked"] in colours
    again = cv2.imdecode(np.frombuffer(encoded_png(drawn), np.uint8), cv2.IMREAD_COLOR)
    assert again is not None
    np.testing.assert_array_equal(again, drawn)


@pytest.mark.parametrize(
    "data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\x00" * 60], ids=["empty", "text", "torn"]
)
def test_a_picture_that_is_none_is_grey(data: bytes) -> None:
    drawn = draw_explanation(explain(story()), PictureRecord(7, "thumbnail", data), 3)
    assert (drawn[5, 5] == 60).all()


def test_without_a_picture_the_boxes_are_drawn_on_grey() -> None:
    drawn = draw_explanation(explain(story()), None)
    assert (drawn[:360] == np.array(COLOURS["asked"])).all(axis=2).any()
