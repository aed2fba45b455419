"""``secondlook replay``."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from secondlook.cli.console import output_console
from secondlook.edge.decisions.comparison import Comparison
from secondlook.edge.decisions.policy import OtherPolicy, PolicySettings, not_replayed, policy_of
from secondlook.edge.decisions.reading import Problems, cameras, first_header, stories
from secondlook.edge.decisions.records import LogHeader
from secondlook.edge.decisions.replay import LIMITS, Replay
from secondlook.edge.settings import EdgeSettings
from secondlook.shared.errors import NotFound


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "--policy", "policy_file", metavar="FILE.toml", type=click.Path(path_type=Path),
    help="Settings with another [gate] or [budget]; without it the log's own, as a check.",
)  # fmt: skip
@click.option("--camera", "only", multiple=True, help="This camera alone; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(log: Path, policy_file: Path | None, only: tuple[str, ...], as_json: bool) -> None:
    """What would another policy have cost, and lost?

    Runs the evidence of a decision log through the very gate and budget that run, with the settings
    of FILE.toml laid over those of the log. With the log's own settings every choice comes out as
    it was.

    \b
    Examples:
      secondlook replay decisions
      secondlook replay decisions --policy cheaper.toml
      secondlook replay decisions --policy edge.toml --camera street --json
    """
    found = cameras(log)
    unknown = [name for name in only if name not in found]
    if unknown:
        raise NotFound(f"camera {unknown[0]!r} is not in the log; it has: {', '.join(found)}")
    chosen = {name: path for name, path in found.items() if not only or name in only}
    problems = Problems()
    headers = [header for path in chosen.values() if (header := first_header(path)) is not None]
    if not headers:
        raise NotFound(f"nothing in the log {log} can be read")
    policy = policy_of
    if policy_file is not None:
        policy = OtherPolicy(policy_file, frozenset(EdgeSettings.model_fields)).over
    streams = [stories(path, problems) for path in chosen.values()]
    merged = heapq.merge(*streams, key=lambda story: story.frame.captured_at)
    results = Replay(policy, headers).run(merged)
    notes = _notes(headers, policy)
    if as_json:
        click.echo(json.dumps(_document(results, notes, problems), indent=2))
        return
    for result in results:
        _print(result, "other" if policy_file is not None else "replayed")
    click.echo("limits of a replay:")
    for line in (*LIMITS, *notes):
        click.echo(f"  {line}")
    for text in problems.said:
        click.echo(f"log: {text}", err=True)


def _notes(
    headers: Sequence[LogHeader], policy: Callable[[LogHeader], PolicySettings]
) -> list[str]:
    names = {name for header in headers for name in not_replayed(policy_of(header), policy(header))}
    return [
        f"{name} shaped the evidence itself: that it differs is not replayed."
        for name in sorted(names)
    ]


def _document(
    results: Iterable[Comparison], notes: list[str], problems: Problems
) -> dict[str, Any]:
    said = []
    for result in results:
        document = asdict(result)
        for side in ("done", "other"):
            tally = getattr(result, side)
            document[side]["per_minute"] = {
                "questions": _per_minute(tally.questions, result),
                "wire_bytes": _per_minute(tally.wire_bytes, result),
                "loss_left": _per_minute(tally.loss_left, result),
            }
        said.append(document)
    return {
        "cameras": said,
        "limits": [*LIMITS, *notes],
        "problems": {
            "torn": problems.torn, "corrupt": problems.corrupt, "unknown": problems.unknown,
            "said": problems.said,
        },
    }  # fmt: skip


def _per_minute(value: float, result: Comparison) -> float | None:
    return value * 60 / result.seconds if result.seconds > 0 else None


def _print(result: Comparison, other: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        box=None, pad_edge=False, title_justify="left",
        title=escape(f"{result.camera}: {result.frames:,} frames, {result.seconds:,.0f} s"),
    )  # fmt: skip
    table.add_column("")
    for name in ("done", "a minute", other, "a minute"):
        table.add_column(name, justify="right")
    rows: list[tuple[str, str, str, bool]] = [
        ("questions (heavy inferences)", "questions", ",.0f", True),
        ("  of whole frames", "whole", ",.0f", False),
        ("  of these audits", "audits", ",.0f", False),
        ("candidates asked about", "candidates", ",.0f", False),
        ("candidates the budget left out", "left", ",.0f", False),
        ("bytes on the wire", "wire_bytes", ",.0f", True),
        ("expected errors left", "loss_left", ",.1f", True),
        ("corrections asked for", "corrections", ",.0f", False),
    ]
    for title, field, form, rate in rows:
        cells = [title]
        for side in (result.done, result.other):
            value = getattr(side, field)
            minute = _per_minute(value, result) if rate else None
            cells += [f"{value:{form}}", "" if minute is None else f"{minute:,.1f}"]
        table.add_row(*cells)
    done, new = result.done, result.other
    if done.audited:
        table.add_row(
            f"objects really missed ({done.audited} audits)",
            f"{done.missed:,}", "", f"{new.missed:,}", "",
        )  # fmt: skip
    output_console().print(table)
    share = result.same / result.frames if result.frames else 1.0
    told = f"the same is asked about {result.same:,} of {result.frames:,} frames ({share:.1%})"
    if result.exact == result.frames:
        told = "every choice is the same, to the last word"
    elif result.first_difference is not None:
        told += f"; first difference at frame {result.first_difference}"
    click.echo(told)
    held = done.questions - result.sent
    if held:
        click.echo(f"{held:,} questions of what was done never left: no budget, or no cloud")
    click.echo()
