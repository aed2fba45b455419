"""The numbers for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from secondlook.cli.price.outcome import Outcome
from secondlook.shared.measure import Counts, Spread

TITLES = {
    "edge_only": "edge only",
    "cloud_jpeg": "cloud, JPEG",
    "cloud_h264": "cloud, H.264",
    "secondlook": "Secondlook",
}
"""How people call the systems."""


def tables_of(outcomes: Sequence[Outcome]) -> list[Table]:
    """Quality and price, each narrow enough for a terminal of 80 columns.

    What changes from the first answer to the final one reads ``a→b``.
    """
    tables = [_quality_table(outcomes)]
    if any(outcome.final.truth is not None for outcome in outcomes):
        tables.append(_truth_table(outcomes))
    tables.append(_price_table(outcomes))
    return tables


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


def _truth_table(outcomes: Sequence[Outcome]) -> Table:
    table = _table("against the truth", ["recall", "precision", "F1"])
    for outcome in outcomes:
        first, final = outcome.first.truth, outcome.final.truth
        if first is not None and final is not None:
            _add(table, outcome, _quality(first, final))
    return table


def _price_table(outcomes: Sequence[Outcome]) -> Table:
    columns = ["KB up\n/frame", "KB up\n/s", "asked\n/frame", "heavy\n/frame"]
    columns += ["first, ms\np50 / p95", "final, ms\np50 / p95"]
    table = _table("price", columns)
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


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("system", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _add(table: Table, outcome: Outcome, cells: Sequence[str]) -> None:
    style = "bold" if outcome.name == "secondlook" else ""
    table.add_row(TITLES.get(outcome.name, outcome.name), *cells, style=style)


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
        for name, title in (("cloud_jpeg", "JPEG frames"), ("cloud_h264", "an H.264 stream"))
        if (other := by_name.get(name)) is not None and other.uplink_kb_per_frame
    ]
    if streams:
        text += ", with " + " and ".join(streams)
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
