"""The numbers of ``secondlook bench serve`` for people and for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.serve.callers import Turn
from secondlook.cli.bench.serve.rows import Key, Row
from secondlook.cli.bench.serve.run import BARE, LOOP, OURS, STREAM, TWO, UNARY, Found

QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Aim:
    """One ratio, and what it is meant to be.

    Attributes:
        of: what over what.
        ratio: median over the rounds.
        bound: the aim; ``None``: it is told to compare with.
        at_least: whether the bound is from below.
    """

    of: str
    ratio: float
    bound: float | None
    at_least: bool

    @property
    def holds(self) -> bool | None:
        """Whether it is reached; ``None`` where there is none."""
        if self.bound is None:
            return None
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound


def aims(found: Found) -> Iterator[Aim]:
    """Every aim, for each number of callers."""

    def cpu(one: Turn) -> float:
        return one.cpu_ms

    def rate(one: Turn) -> float:
        return one.per_s

    def pair(key: Key, server: str, way: str, value: Callable[[Turn], float]) -> float:
        other = found.rows[Key(key.job, server, way, key.callers)]
        return found.rows[key].over(other, value)

    for key in found.rows:
        what = f"{key.job}, {key.callers} at once: "
        if key.server == TWO:
            text = what + "requests/s, two processes / one"
            yield Aim(text, pair(key, OURS, UNARY, rate), 1.7, at_least=True)
        elif key.server == OURS and key.way == STREAM and key.job == "tiny":
            text = what + "requests/s, stream / unary"
            yield Aim(text, pair(key, OURS, UNARY, rate), 1.6, at_least=True)
        elif key.server == OURS and Key(key.job, LOOP, "", key.callers) in found.rows:
            yield Aim(what + "images/s / loop", pair(key, LOOP, "", rate), 0.95, at_least=True)
            # What a server can reach at all where few ask: it has nothing to do while they wait.
            text = what + "the same of the bare server"
            bare = Key(key.job, BARE, UNARY, key.callers)
            yield Aim(text, pair(bare, LOOP, "", rate), None, at_least=True)
        elif key.server == OURS and key.way == UNARY and key.job == "tiny":
            text = what + "CPU of a request / bare"
            yield Aim(text, pair(key, BARE, UNARY, cpu), 1.15, at_least=False)


def show(found: Found, console: Console) -> None:
    """Print the tables."""
    title = f"{found.model}, JPEG of {found.picture_bytes:,} bytes"
    table = Table(title=f"KServe v2 over gRPC; {title}")
    for name in ("job", "callers", "server", "way"):
        table.add_column(name)
    for name in ("p50 ms", "p95 ms", "p99 ms", "requests/s", "server CPU ms"):
        table.add_column(name, justify="right")
    for key, row in found.rows.items():
        table.add_row(
            key.job,
            str(key.callers),
            key.server,
            key.way,
            *(f"{row.quantile_ms(share):.2f}" for share in QUANTILES),
            f"{row.per_s:,.0f}",
            f"{row.cpu_ms:.3f}",
        )
    console.print(table)
    table = Table(title="ratios, median over the rounds")
    table.add_column("of")
    for name in ("ratio", "aim", ""):
        table.add_column(name, justify="right")
    for aim in aims(found):
        sign = ">=" if aim.at_least else "<="
        bound = "" if aim.bound is None else f"{sign} {aim.bound}"
        holds = {None: "", True: "holds", False: "missed"}[aim.holds]
        table.add_row(aim.of, f"{aim.ratio:.2f}", bound, holds)
    console.print(table)
    for key, row in found.rows.items():
        if key.job.endswith("one port"):
            cores = ", ".join(f"{busy:.2f}" for busy in row.cores)
            console.print(f"{key.server}: {row.per_s:,.0f} requests/s, cores busy: {cores}")
    console.print(f"asked by {found.asked_by}", style="dim")


def document_of(found: Found) -> dict[str, Any]:
    """The same as a JSON object."""
    return {
        "model": found.model,
        "picture_bytes": found.picture_bytes,
        "rows": [{**asdict(key), **_numbers(row)} for key, row in found.rows.items()],
        "asked_by": found.asked_by,
        "aims": [{**asdict(aim), "holds": aim.holds} for aim in aims(found)],
    }


def _numbers(row: Row) -> dict[str, Any]:
    return {
        **{f"p{round(100 * share)}_ms": round(row.quantile_ms(share), 4) for share in QUANTILES},
        "per_s": round(row.per_s, 2),
        "cpu_ms": round(row.cpu_ms, 4),
        "cores": [round(busy, 3) for busy in row.cores],
        "rounds": [
            {"per_s": round(one.per_s, 2), "cpu_ms": round(one.cpu_ms, 4)} for one in row.turns
        ],
    }
