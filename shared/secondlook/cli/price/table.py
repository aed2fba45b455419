"""The numbers for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from secondlook.cli.price.curve import PointVerdict, Verdicts, f1_of
from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.over_link import LinkRun
from secondlook.cli.price.specs import TITLES
from secondlook.shared.measure import Counts, Interval, Spread

__all__ = ["TITLES", "curve_tables", "latency", "link_table", "sentence", "tables_of"]


def tables_of(outcomes: Sequence[Outcome]) -> list[Table]:
    """Quality and price, each narrow enough for a terminal of 80 columns.

    What changes from the first answer to the final one reads ``a→b``.
    """
    tables = [_quality_table(outcomes)]
    if any(outcome.final.truth is not None for outcome in outcomes):
        tables.append(_truth_table(outcomes))
    if any(outcome.standing.interval is not None for outcome in outcomes):
        tables.append(_interval_table(outcomes))
    tables.append(_price_table(outcomes))
    return tables


def curve_tables(verdicts: Verdicts) -> list[Table]:
    """Each of our points against the edge alone and the best video stream; and the streams."""
    columns = ["KB up\n/frame", "heavy\n/frame", "F1", "as good as\nedge only"]
    columns += ["best stream\nneeds, KB", "our share"]
    edge = f"edge only {verdicts.edge_f1:.3f}"
    title = f"points of Secondlook (F1 against the {verdicts.against}; {edge})"
    table = _table(title, columns, first="point")
    for point in verdicts.points:
        outcome = point.outcome
        worse = "no, surely" if point.surely_worse else "no"
        table.add_row(
            point.point,
            f"{outcome.uplink_kb_per_frame:.2f}",
            f"{outcome.cloud_inferences_per_frame:.2f}",
            f"{f1_of(outcome):.3f}",
            "yes" if point.no_worse else worse,
            stream_price(point),
            "-" if point.share is None else f"{point.share:.0%}",
        )
    title = "points of the streams, at the canonical width"
    streams = _table(title, ["KB up\n/frame", "F1"], first="stream")
    for outcomes in verdicts.streams.values():
        for outcome in outcomes:
            streams.add_row(
                outcome.title or TITLES.get(outcome.name, outcome.name),
                f"{outcome.uplink_kb_per_frame:.2f}",
                f"{f1_of(outcome):.3f}",
            )
    return [table, streams]


def link_table(runs: Sequence[LinkRun]) -> Table:
    """Secondlook over emulated links, played in the clip's own time."""
    columns = [
        "answered\n/ due",
        "first, ms\np50 / p95",
        "revised, ms\np50 / p95",
        "of it heavy\np50 / p95",
        "revised",
    ]
    columns += ["lost /\noffline /\nunpaid", "KB up\n/frame", "most KB\nin 60 s", "F1"]
    table = _table("Secondlook over links, in real time", columns, first="link")
    for run in runs:
        outcome = run.outcome
        most = f"{run.most_kb:.1f}"
        if run.budget_kb is not None:
            most += f" of {run.budget_kb:.1f}"
        table.add_row(
            run.link.name,
            f"{run.answered} / {run.due}",
            latency(outcome.first.latency_s),
            latency(run.revised_s),
            latency(run.heavy_s),
            f"{run.revised:.0%}",
            f"{run.lost} / {run.offline} / {run.unpaid}",
            f"{outcome.uplink_kb_per_frame:.2f}",
            most,
            _change(outcome.first.agreement.f1, outcome.final.agreement.f1),
        )
    return table


def stream_price(point: PointVerdict) -> str:
    """What the best stream needs for the F1 of a point, in words."""
    if point.needs.kb is None:
        return "not reached"
    bound = "≤ " if point.needs.at_most else ""
    return f"{bound}{point.needs.kb:.2f} {point.stream}"


def _quality_table(outcomes: Sequence[Outcome]) -> Table:
    table = _table(
        "against the cloud model (F1, all: every class, raw)",
        ["recall", "precision", "F1", "F1, all"],
    )
    for outcome in outcomes:
        first, final = outcome.first, outcome.final
        cells = _quality(first.agreement, final.agreement)
        cells.append(_change(first.agreement_all.f1, final.agreement_all.f1))
        _add(table, outcome, cells)
    return table


def _interval_table(outcomes: Sequence[Outcome]) -> Table:
    true = any(outcome.truth is not None for outcome in outcomes)
    against = "truth" if true else "cloud model"
    title = f"95 % intervals of the final F1 against the {against}"
    table = _table(title, ["F1", "above edge only"])
    for outcome in outcomes:
        standing, gain = outcome.standing, "-"
        if standing.gain is not None and outcome.name != "edge_only":
            gain = f"{standing.gain:+.3f}  {interval(standing.gain_interval, sign=True)}"
        cells = [f"{standing.f1:.3f}  {interval(standing.interval)}", gain]
        _add(table, outcome, cells)
    return table


def interval(ends: Interval | None, *, sign: bool = False) -> str:
    """``[low, high]``; nothing where there is none."""
    if ends is None:
        return ""
    form = "+.3f" if sign else ".3f"
    return f"[{ends.low:{form}}, {ends.high:{form}}]"


def _truth_table(outcomes: Sequence[Outcome]) -> Table:
    table = _table("against the truth", ["recall", "precision", "F1"])
    for outcome in outcomes:
        first, final = outcome.first.truth, outcome.final.truth
        if first is not None and final is not None:
            _add(table, outcome, _quality(first, final))
    return table


def _price_table(outcomes: Sequence[Outcome]) -> Table:
    columns = ["KB up\n/frame", "KB up\n/s", "asked\n/frame", "heavy\n/frame"]
    rates = {round(o.frames_per_s, 1) for o in outcomes if o.frames_per_s is not None}
    columns += ["first, ms\np50 / p95", "final, ms\np50 / p95"]
    rate = f", {rates.pop():g} frames a second" if len(rates) == 1 else ""
    table = _table(f"price{rate}", columns)
    for outcome in outcomes:
        per_s = outcome.uplink_kb_per_s
        cells = [
            f"{outcome.uplink_kb_per_frame:.2f}",
            "-" if per_s is None else f"{per_s:.2f}",
            f"{outcome.escalations_per_frame:.2f}",
            f"{outcome.cloud_inferences_per_frame:.2f}",
            latency(outcome.first.latency_s),
            latency(outcome.final.latency_s),
        ]
        _add(table, outcome, cells)
    return table


def _table(title: str, columns: Sequence[str], first: str = "system") -> Table:
    table = Table(
        title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _add(table: Table, outcome: Outcome, cells: Sequence[str]) -> None:
    style = "bold" if outcome.name == "secondlook" else ""
    title = outcome.title or TITLES.get(outcome.name, outcome.name)
    table.add_row(title, *cells, style=style)


def latency(spread: Spread) -> str:
    """``p50 / p95`` in milliseconds."""
    if spread.p50 is None or spread.p95 is None:
        return "-"
    return f"{spread.p50 * 1000:.0f} / {spread.p95 * 1000:.0f}"


def sentence(outcomes: Sequence[Outcome]) -> str:
    """The verdict in one sentence: the final F1 and its price, each beside the others."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    ours, edge = by_name.get("secondlook"), by_name.get("edge_only")
    if ours is None or edge is None:
        return ""
    f1 = {name: _f1(outcome) for name, outcome in by_name.items()}
    against = "the truth" if ours.final.truth is not None else "the cloud model"
    text = (
        f"Against {against}, Secondlook reaches F1 {f1['secondlook']:.3f} where the edge alone "
        f"has {f1['edge_only']:.3f}"
    )
    streams = [
        f"{ours.uplink_kb_per_frame / other.uplink_kb_per_frame:.0%} of the bytes of "
        f"{title} (F1 {f1[name]:.3f})"
        for name, title in (
            ("cloud_jpeg", "JPEG frames"),
            ("cloud_h264", "an H.264 stream"),
            ("cloud_h265", "an H.265 stream"),
        )
        if (other := by_name.get(name)) is not None and other.uplink_kb_per_frame
    ]
    if streams:
        text += ", with " + ", ".join(streams)
    heavy = ours.cloud_inferences_per_frame
    return f"{text}; the heavy model looked at {heavy:.2f} pictures a frame."


def _f1(outcome: Outcome) -> float:
    truth = outcome.final.truth
    return outcome.final.agreement.f1 if truth is None else truth.f1


def _quality(first: Counts, final: Counts) -> list[str]:
    return [
        _change(first.recall, final.recall),
        _change(first.precision, final.precision),
        _change(first.f1, final.f1),
    ]


def _change(first: float, final: float) -> str:
    a, b = f"{first:.3f}", f"{final:.3f}"
    return a if a == b else f"{a}→{b}"
