"""Trust for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from secondlook.cli.trust.gathering import Standing
from secondlook.shared.memory.kinds import SiteMode, TrustWindow

_STYLES = {"certified": "green", "alarm": "bold red", "slo-infeasible": "bold red"}


def print_standings(standings: Sequence[Standing], now_s: float, console: Console) -> None:
    """One line for each camera and site, and the reasons under the table."""
    table = Table(box=None, pad_edge=False)
    for name in ("camera", "state"):
        table.add_column(name, overflow="fold")
    for name in (
        "threshold", "promise", "bound", "audits", "missed", "lost", "alarms", "window", "age",
    ):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for standing in standings:
        newest, certificate = standing.newest, standing.certificate
        table.add_row(
            escape(_title(standing)),
            f"[{_STYLES.get(newest.state, 'yellow')}]{newest.state}[/]",
            f"{newest.tau:g}",
            f"{newest.alpha:.2%}",
            "" if certificate is None else f"{certificate.bound:.3%}",
            f"{newest.audits:,}",
            f"{missed(newest):,}",
            f"{newest.lost:,}",
            f"{newest.alarms:,}",
            f"{newest.frames:,} {'frames' if newest.ended_s is not None else 'so far'}",
            age(now_s - newest.at_s),
        )
    console.print(table)
    console.print()
    for standing in standings:
        for reason in standing.newest.reasons:
            console.print(f"{escape(_title(standing))}: {escape(reason)}", soft_wrap=True)


def missed(window: TrustWindow) -> int:
    """Audits that missed an object at the threshold in force."""
    at = max(i for i, value in enumerate(window.thresholds) if value <= window.tau)
    return window.misses[at]


def age(seconds: float) -> str:
    """How long ago, for people; a clock that is ahead is told too."""
    if seconds < -1:
        return "in the future"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def _title(standing: Standing) -> str:
    if standing.of_site:
        return f"{standing.name} (site of {len(standing.newest.cameras)} cameras)"
    return standing.name


def print_modes(modes: Mapping[str, SiteMode], console: Console) -> None:
    """How each camera works, and why."""
    for name, mode in sorted(modes.items()):
        state = "" if mode.settled else ", not proved yet"
        console.print(f"{escape(name)} works as {mode.mode}{state}", soft_wrap=True)
        for reason in mode.reasons:
            console.print(f"  {escape(reason)}", soft_wrap=True)
