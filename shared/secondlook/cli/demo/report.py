"""``report.html``: one file, no other needed to read it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from secondlook.cli.demo.charts import Line, Point, price_chart, time_chart
from secondlook.cli.demo.samples import Sample
from secondlook.cli.price.comparison import Standard
from secondlook.cli.price.ledger import Ledger
from secondlook.cli.price.outcome import Outcome, Stage, against_truth, total
from secondlook.cli.price.table import TITLES, latency
from secondlook.shared.geometry import iou
from secondlook.shared.measure import Counts, Metric
from secondlook.shared.values import Detections

_WINDOWS = 15
_SAME_IOU = 0.9
_LABELLED_PX = 40.0


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What the report tells.

    Attributes:
        verdict: one sentence.
        facts: what was run, one line each.
        outcomes: every system in numbers.
        ledgers: every system's answers.
        standard: what they were held against.
        metric: on the classes of interest.
        samples: frames to show.
        files: names of the files beside the report.
    """

    verdict: str
    facts: Sequence[str]
    outcomes: Sequence[Outcome]
    ledgers: Sequence[Ledger]
    standard: Standard
    metric: Metric
    samples: Sequence[Sample]
    files: Sequence[str]


def render(page: Page) -> str:
    """The HTML text. Everything that is not ours is escaped."""
    style, told = _text("report.css"), _text("notes.txt").split("\n\n")
    facts = "".join(f'<p class="soft">{escape(fact)}</p>' for fact in page.facts)
    notes = "".join(f"<p>{escape(note)}</p>" for note in told)
    links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in page.files)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Secondlook demo</title><style>{style}</style></head><body>"
        f'<header><h1>Secondlook demo</h1><p class="verdict">{escape(page.verdict)}</p>{facts}'
        "</header>"
        f"<h2>Quality and price</h2>{_numbers(page.outcomes)}"
        '<p class="soft">Pale: said at once. Dark: what stood when all verdicts were in. KB is '
        "1000 bytes of TCP payload; connection set-up is apart.</p>"
        f'<div class="charts"><figure>{_price(page)}<figcaption>F1 against the truth and its '
        "price. Hollow: the first answer.</figcaption></figure>"
        f"<figure>{_time(page)}<figcaption>F1 against the truth over the clip."
        "</figcaption></figure></div>"
        f"<h2>What the second look changed</h2>{_LEGEND}"
        + "".join(_sample(sample) for sample in page.samples)
        + f"<h2>How it was measured</h2>{notes}<footer>Beside this page: {links}.</footer>"
        "</body></html>\n"
    )


def _text(name: str) -> str:
    return files("secondlook.cli.demo").joinpath(name).read_text(encoding="utf-8")


def _numbers(outcomes: Sequence[Outcome]) -> str:
    head = (
        '<tr class="groups"><th></th><th colspan="3">against the truth</th>'
        '<th colspan="3">against the cloud model</th><th colspan="3">price, a frame</th>'
        '<th colspan="2">ms, p50 / p95</th></tr><tr><th></th>'
        + "<th>recall</th><th>precision</th><th>F1</th>" * 2
        + "<th>KB up</th><th>asked</th><th>heavy</th><th>first</th><th>final</th></tr>"
    )
    rows = "".join(_row(outcome) for outcome in outcomes)
    return f'<div class="numbers"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _row(outcome: Outcome) -> str:
    first, final = outcome.first, outcome.final
    cells = [
        *_cells(_truth(first), _truth(final)),
        *_cells(first.agreement, final.agreement),
        f"{outcome.uplink_kb_per_frame:.2f}",
        f"{outcome.escalations_per_frame:.2f}",
        f"{outcome.cloud_inferences_per_frame:.2f}",
        latency(first.latency_s),
        latency(final.latency_s),
    ]
    title = escape(TITLES.get(outcome.name, outcome.name))
    return (
        f'<tr class="{escape(outcome.name)}"><th class="{escape(outcome.name)}">'
        f'<i class="swatch"></i>{title}</th>'
        + "".join(f"<td>{cell}</td>" for cell in cells)
        + "</tr>"
    )


def _cells(first: Counts, final: Counts) -> list[str]:
    pairs = (
        (first.recall, final.recall),
        (first.precision, final.precision),
        (first.f1, final.f1),
    )
    return [
        f"{b:.3f}" if f"{a:.3f}" == f"{b:.3f}" else f'<span class="was">{a:.3f}</span> {b:.3f}'
        for a, b in pairs
    ]


def _truth(stage: Stage) -> Counts:
    return Counts() if stage.truth is None else stage.truth


def _price(page: Page) -> str:
    return price_chart(
        [
            Point(
                outcome.name,
                TITLES.get(outcome.name, outcome.name),
                outcome.uplink_kb_per_frame,
                _truth(outcome.first).f1,
                _truth(outcome.final).f1,
            )
            for outcome in page.outcomes
        ]
    )


def _time(page: Page) -> str:
    by_name = {ledger.name: ledger for ledger in page.ledgers}
    lines = []
    if (edge := by_name.get("edge_only")) is not None:
        said = [a.final for a in edge.answers]
        lines.append(Line("edge_only", "edge only", _over_time(page, said), dashed=True))
    if (jpeg := by_name.get("cloud_jpeg")) is not None:
        said = [a.final for a in jpeg.answers]
        lines.append(Line("cloud_jpeg", "cloud, JPEG", _over_time(page, said), dashed=True))
    if (ours := by_name.get("secondlook")) is not None:
        first, final = ([a.first for a in ours.answers], [a.final for a in ours.answers])
        lines.append(Line("first", "Secondlook at once", _over_time(page, first)))
        lines.append(Line("secondlook", "Secondlook, verdicts in", _over_time(page, final)))
    return time_chart(lines)


def _over_time(page: Page, said: Sequence[Detections]) -> list[tuple[float, float]]:
    counts = against_truth(said, page.standard, page.metric)
    parts = np.array_split(np.arange(len(counts)), min(_WINDOWS, len(counts)))
    return [
        (
            float(np.mean([page.standard.media_s[i] for i in part])),
            total(counts[i] for i in part).f1,
        )
        for part in parts
    ]


_LEGEND = (
    '<ul class="legend">'
    + "".join(
        f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><line class="line" '
        f'style="stroke:var(--{key});{extra}" x1="1" y1="4" x2="25" y2="4"/></svg>{text}</li>'
        for key, extra, text in (
            ("stands", "", "the edge's box, it stands"),
            ("corrected", "", "brought or changed by the cloud"),
            ("removed", "stroke-dasharray:5 4", "taken away by the cloud"),
            ("soft", "stroke-dasharray:2 3", "what is really there (thin, white on the pictures)"),
        )
    )
    + "</ul>"
)


def _sample(sample: Sample) -> str:
    key = f"frame-{sample.sequence}"
    picture = base64.b64encode(sample.jpeg).decode()
    size = f'width="{sample.width}" height="{sample.height}"'
    hidden = (
        f'<svg width="0" height="0" aria-hidden="true"><defs><image id="{key}" {size} '
        f'href="data:image/jpeg;base64,{picture}"/></defs></svg>'
    )
    there = "".join(_box(box, "there") for box in sample.truth.boxes)
    asked = "".join(
        f'<rect class="asked" x="{x}" y="{y}" width="{w}" height="{h}"/>'
        for x, y, w, h in sample.regions
    )
    before = "".join(
        _box(box, "stands", f"{name} {score:.2f}") for box, name, score in _rows(sample.first)
    )
    pair = "".join(
        f'<div><svg viewBox="0 0 {sample.width} {sample.height}" role="img">'
        f'<title>{title}</title><use href="#{key}"/>{overlay}</svg><span>{title}</span></div>'
        for title, overlay in (
            ("the edge at once", asked + there + before),
            ("after the verdicts", there + _after(sample)),
        )
    )
    return (
        f'<figure class="sample">{hidden}<div class="pair">{pair}</div><figcaption>'
        f"Frame {sample.sequence}, {sample.media_s:.1f} s. "
        f"{_asked(len(sample.regions))}</figcaption></figure>"
    )


def _asked(regions: int) -> str:
    if not regions:
        return "Nothing was asked about this frame; tracks carried verdicts of others to it."
    return f"The edge asked about {regions} brighter region{'s' if regions > 1 else ''}."


def _after(sample: Sample) -> str:
    """The final boxes, coloured by what became of the first ones."""
    first, final = sample.first, sample.final
    overlap = iou(final.boxes, first.boxes)
    names = first.class_names()
    parts = []
    for row, (box, name, score) in enumerate(_rows(final)):
        same = any(overlap[row, j] >= _SAME_IOU and names[j] == name for j in range(len(first)))
        parts.append(_box(box, "stands" if same else "corrected", f"{name} {score:.2f}"))
    gone = overlap.max(axis=0, initial=0) < 0.3
    parts += [_box(first.boxes[j], "removed", f"no {names[j]}") for j in np.flatnonzero(gone)]
    return "".join(parts)


def _rows(detections: Detections) -> list[tuple[npt.NDArray[np.float32], str, float]]:
    return list(
        zip(detections.boxes, detections.class_names(), detections.scores.tolist(), strict=True)
    )


def _box(box: npt.NDArray[np.float32], kind: str, label: str = "") -> str:
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    title = f"<title>{escape(label)}</title>" if label else ""
    rect = (
        f'<rect class="box {kind}" x="{x1}" y="{y1}" width="{x2 - x1:.1f}" '
        f'height="{y2 - y1:.1f}">{title}</rect>'
    )
    # Small boxes tell their label to the pointer only: written out it would cover its neighbours.
    if not label or y2 - y1 < _LABELLED_PX:
        return rect
    return f'{rect}<text class="label" x="{x1}" y="{max(10.0, y1 - 4):.1f}">{escape(label)}</text>'
