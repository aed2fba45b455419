"""The numbers of ``secondlook bench trust`` for people and for machines."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.trust.alarms import Alarms, FalseAlarms
from secondlook.cli.bench.trust.promise import Promise
from secondlook.shared.trust import TrustSettings, audits_needed


@dataclass(frozen=True, slots=True)
class TrustBench:
    """Everything that was measured.

    Attributes:
        settings: the promise.
        seed: of all coins.
        promises: certificates against the truth, by setting.
        alarms: injected changes.
        false_alarms: long runs without one.
    """

    settings: TrustSettings
    seed: int
    promises: tuple[Promise, ...]
    alarms: tuple[Alarms, ...]
    false_alarms: tuple[FalseAlarms, ...]


def show(found: TrustBench, console: Console) -> None:
    """Print the tables."""
    delta = found.settings.delta
    table = Table(
        title=f"promise: at most {found.settings.alpha:.2%} of frames lost; "
        f"broken in at most {delta:.1%} of streams"
    )
    for name in (
        "streams", "", "audits", "certified", "broken", "plain estimate breaks it",
        "escalates", "oracle", "excess", "",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in ("streams", "") else "right")
    for row in found.promises:
        table.add_row(
            f"{row.streams} {row.name}",
            row.text,
            f"{row.audits:,.0f}",
            f"{row.certified:.0%}",
            f"{row.violations:.1%}",
            f"{row.naive_violations:.1%}",
            _share(row.escalation),
            _share(row.oracle_escalation),
            _share(row.excess),
            _kept(row.violations, row.streams, delta),
        )
    console.print(table)
    if found.alarms:
        console.print(_alarms(found))
    for long in found.false_alarms:
        console.print(
            f"false alarms: {long.share:.2%} of {long.runs} runs of {long.audits:,} audits at "
            f"{long.rate:.2%} lost (at most {delta:.0%}): {_kept(long.share, long.runs, delta)}"
        )
    needed = ", ".join(f"{n:,} at {rate:.2%}" for rate, n in _needed(found.settings) if n)
    console.print(f"audits for a certificate with 90 % probability, by true loss: {needed}")


def _alarms(found: TrustBench) -> Table:
    table = Table(title="audits until the alarm")
    for name in (
        "change", "lost before", "lost after", "calm audits", "noticed", "median", "9 of 10",
        "median of one old bet",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name == "change" else "right")
    for alarm in found.alarms:
        table.add_row(
            alarm.text,
            f"{alarm.before:.2%}" if alarm.calm else "",
            f"{alarm.after:.2%}",
            f"{alarm.calm:,}",
            f"{alarm.noticed:.1%}",
            _audits(alarm.median),
            _audits(alarm.p90),
            _audits(alarm.one_bet_median),
        )
    return table


def document_of(found: TrustBench) -> dict[str, Any]:
    """The same as a JSON object; what is infinite or not known is null."""
    return {
        "settings": found.settings.model_dump(mode="json"),
        "seed": found.seed,
        "promises": [_plain({**asdict(row), "excess": row.excess}) for row in found.promises],
        "alarms": [_plain(asdict(row)) for row in found.alarms],
        "false_alarms": [_plain(asdict(row)) for row in found.false_alarms],
        "audits_needed": [{"true_rate": rate, "audits": n} for rate, n in _needed(found.settings)],
    }


def broken(found: TrustBench) -> list[str]:
    """The promises that were broken more often than chance explains, see `_kept`."""
    delta = found.settings.delta
    rows = [(row.name, row.violations, row.streams) for row in found.promises]
    rows += [(f"false alarms at {r.rate:.2%}", r.share, r.runs) for r in found.false_alarms]
    return [
        f"{name}: {share:.1%} of {count}, at most {delta:.1%} expected"
        for name, share, count in rows
        if _kept(share, count, delta) == "BROKEN"
    ]


def _kept(share: float, count: int, delta: float) -> str:
    """``kept``, ``by chance``, or ``BROKEN``.

    What happens with probability δ happens more often now and then; ``BROKEN`` is what would come
    about by chance in less than one of 1000 benchmarks.
    """
    from scipy.special import bdtrc

    if share <= delta:
        return "kept"
    return "BROKEN" if bdtrc(round(share * count) - 1, count, delta) < 0.001 else "by chance"


def _needed(settings: TrustSettings) -> list[tuple[float, int | None]]:
    shares = (0.0, 0.2, 0.5)
    return [
        (
            share * settings.alpha,
            audits_needed(settings.alpha, settings.delta, share * settings.alpha),
        )
        for share in shares
    ]


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _share(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.1%}"


def _audits(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "not noticed"
