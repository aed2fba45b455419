"""The report holds everything itself, escapes what is not ours, and shows what changed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import cv2
import numpy as np

from secondlook.cli.demo.report import Page, render
from secondlook.cli.demo.samples import Sample, choose, sample_of
from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.ledger import FrameAnswer, Ledger
from secondlook.cli.price.outcome import outcome_of
from secondlook.shared.measure import Metric
from secondlook.shared.values import Detections

EVIL = "<script>alert('x')</script>"
NAMES = ("car", "person", EVIL)
METRIC = Metric(classes=NAMES)
CAR, MAN = [10, 10, 60, 50], [80, 10, 100, 60]
TRUTH = Detections.of([CAR, MAN], [1, 1], [0, 1], NAMES)
FRAMES = 12


def standard() -> Standard:
    return Standard(
        references=[TRUTH] * FRAMES,
        truths=[TRUTH] * FRAMES,
        ignores=[np.zeros(2, bool)] * FRAMES,
        media_s=[i / 5 for i in range(FRAMES)],
        sequences=[2 * i for i in range(FRAMES)],
        width=128,
        height=96,
    )


def ledger(name: str = "secondlook") -> Ledger:
    """Sees the car at once; in frames 3 and 8 a verdict brings the person."""
    answers = []
    for i in range(FRAMES):
        answer = FrameAnswer.once(Detections.of([CAR], [0.8], [0], NAMES), 0.02)
        if i in (3, 8):
            answer.revise(TRUTH, 0.4)
        answers.append(answer)
    return Ledger(name, answers)


def sample(index: int = 3) -> Sample:
    image = np.full((96, 128, 3), 90, np.uint8)
    return sample_of(index, image, ledger(), standard(), METRIC, [(64, 0, 48, 64)])


def page(**changes: object) -> Page:
    held = standard()
    ledgers = [ledger("edge_only"), ledger("cloud_jpeg"), ledger()]
    fields = {
        "verdict": f"It works. {EVIL}",
        "facts": ["a street"],
        "outcomes": [outcome_of(each, held, METRIC) for each in ledgers],
        "ledgers": ledgers,
        "standard": held,
        "metric": METRIC,
        "samples": [sample()],
        "files": ["events.jsonl"],
    }
    return Page(**{**fields, **changes})


class Checker(HTMLParser):
    """Every tag is closed, in order; remembers what is fetched."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key in ("src", "href", "xlink:href") and tag != "a":
                self.fetched.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing() -> None:
    html = render(page())
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    assert all(link.startswith(("#", "data:image/jpeg;base64,")) for link in checker.fetched)
    assert "script" not in checker.tags
    assert not re.search(r"@import|url\(|https?://", html)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_what_is_not_ours_is_escaped() -> None:
    odd = Detections.of([CAR], [0.9], [2], NAMES)
    answer = FrameAnswer.once(odd, 0.1)
    strange = Ledger("secondlook", [answer] * FRAMES)
    image = np.zeros((96, 128, 3), np.uint8)
    shown = sample_of(0, image, strange, standard(), METRIC, [])
    html = render(page(samples=[shown]))
    assert EVIL not in html
    assert html.count("&lt;script&gt;") >= 2


def test_boxes_are_coloured_by_what_became_of_them() -> None:
    final = Detections.of([MAN], [0.9], [1], NAMES)
    shown = sample()
    changed = Sample(
        **{
            **{f: getattr(shown, f) for f in Sample.__dataclass_fields__},
            "final": Detections.concatenate([final, shown.first], NAMES),
        }
    )
    html = render(page(samples=[changed]))
    pictures = html[html.index("after the verdicts") :]
    assert pictures.count('class="box corrected"') == 1
    assert pictures.count('class="box stands"') == 1
    gone = Sample(**{**{f: getattr(shown, f) for f in Sample.__dataclass_fields__}, "final": final})
    html = render(page(samples=[gone]))
    assert 'class="box removed"' in html
    assert "no car" in html


def test_samples_are_where_verdicts_mended_most_in_every_part() -> None:
    assert choose(ledger(), standard(), METRIC, 2) == [3, 8]
    assert len(choose(ledger(), standard(), METRIC, 100)) == FRAMES


def test_a_sample_holds_the_picture_and_only_what_counts() -> None:
    held = standard()
    held.ignores[3] = np.array([False, True])
    shown = sample_of(3, np.full((96, 128, 3), 90, np.uint8), ledger(), held, METRIC, [])
    assert shown.truth.class_names() == ["car"]
    assert shown.sequence == 6
    decoded = cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (96, 128, 3)
