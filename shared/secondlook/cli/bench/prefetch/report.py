"""The numbers of ``secondlook bench prefetch`` for people and for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.prefetch.simulate import Result


@dataclass(frozen=True, slots=True)
class Compared:
    """One trace under every policy.

    Attributes:
        name: of the trace.
        text: what its structure is.
        models: how many are asked for.
        results: by policy: ``lru``, ``forecast``, ``oracle``.
    """

    name: str
    text: str
    models: int
    results: dict[str, Result]

    @property
    def misses_saved(self) -> float | None:
        """Share of LRU's misses that the forecast spares; ``None`` where LRU has none."""
        missed = 1.0 - self.results["lru"].hit_rate
        return (missed - (1.0 - self.results["forecast"].hit_rate)) / missed if missed else None


def show(found: Sequence[Compared], console: Console) -> None:
    """Print the table."""
    table = Table(title="models before they are asked for, against the least recently asked for")
    for name in (
        "trace", "policy", "requests", "ready", "mean wait", "p95", "p99", "loads", "ahead",
        "wasted", "misses saved",
    ):  # fmt: skip
        table.add_column(name, justify="left" if name in ("trace", "policy") else "right")
    for row in found:
        for place, (policy, result) in enumerate(row.results.items()):
            saved = row.misses_saved if policy == "forecast" else None
            table.add_row(
                (row.name, row.text, f"{row.models} models")[place],
                policy,
                f"{result.requests:,}",
                f"{result.hit_rate:.1%}",
                f"{result.mean_wait_s:.2f} s",
                f"{result.p95_wait_s:.1f} s",
                f"{result.p99_wait_s:.1f} s",
                f"{result.loads:,}",
                f"{result.ahead:,}",
                f"{result.wasted:,}",
                "" if saved is None else f"{saved:+.1%}",
                end_section=place == 2,
            )
    console.print(table)
    console.print(
        "wait: for the model to be loaded, over all requests; oracle: knows the trace; "
        "wasted: loaded ahead, evicted before anyone asked"
    )


def document_of(found: Sequence[Compared]) -> list[dict[str, Any]]:
    """The same as JSON."""
    return [{**asdict(row), "misses_saved": row.misses_saved} for row in found]
