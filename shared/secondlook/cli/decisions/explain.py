"""``secondlook explain``."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import click

from secondlook.cli.console import output_console
from secondlook.edge.decisions.explaining import explain as story_in_words
from secondlook.edge.decisions.explaining import moment
from secondlook.edge.decisions.explanation import CandidateStory, Explanation
from secondlook.edge.decisions.finding import find, picture_for
from secondlook.edge.decisions.picture import draw_explanation, encoded_png
from secondlook.edge.decisions.reading import Problems, camera_folder
from secondlook.edge.decisions.settings import DecisionSettings, decisions_folder
from secondlook.shared.errors import InvalidConfig

_SHOWN = 25
"""Candidates that are listed where nobody asks for all."""


@click.command()
@click.argument("camera")
@click.argument("frame")
@click.option(
    "--log", "folder", metavar="DIR", type=click.Path(path_type=Path),
    help="The decision log; default: where `decisions.folder` is by default.",
)  # fmt: skip
@click.option(
    "--out", "out", metavar="FILE.png", type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the frame, its candidates, and what left the site.",
)  # fmt: skip
@click.option("--all", "everything", is_flag=True, help="All candidates, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(
    camera: str, frame: str, folder: Path | None, out: Path | None, everything: bool, as_json: bool
) -> None:
    """Why was FRAME of CAMERA sent to the cloud, or why not?

    FRAME is a sequence number (of the latest run that has it), `last`, `last-asked`, HH:MM:SS of
    today, or a time such as 2026-05-01T12:30:00; of times the nearest frame.

    \b
    Examples:
      secondlook explain street last-asked --log decisions
      secondlook explain yard/gate 18731 --log decisions --out why.png
      secondlook explain street 12:30:05 --json | jq .headline
    """
    log = folder if folder is not None else decisions_folder(DecisionSettings(), os.environ)
    problems = Problems()
    where = camera_folder(log, camera)
    story = find(where, frame, problems)
    said = story_in_words(story)
    if as_json:
        click.echo(json.dumps(said.document(), indent=2))
    else:
        _print(said, len(said.candidates) if everything else _SHOWN)
    for text in problems.said:
        click.echo(f"log: {text}", err=True)
    if out is not None:
        kept = picture_for(where, story, Problems())
        picture = draw_explanation(said, *(kept or (None, 0)))
        try:
            out.write_bytes(encoded_png(picture))
        except OSError as error:
            raise InvalidConfig(f"{out} cannot be written: {error.strerror}") from None
        click.echo(f"{out} written", err=True)


def _print(said: Explanation, shown: int) -> None:
    # Rich would break lines and colour numbers; this is prose.
    click.echo(f"{said.camera}, frame {said.sequence}, {moment(said.captured_at)}")
    click.echo(f"{said.headline}\n")
    _section("because", said.reasons)
    _section("terms", said.terms)
    _section("left the site", said.sent)
    _section("what came of it", said.after)
    if said.candidates:
        click.echo(f"candidates ({len(said.candidates)}), the largest loss first:")
        _table(said.candidates[:shown])
        left = said.candidates[shown:]
        if left:
            click.echo(f"... and {len(left)} more, none of which saves over {left[0].loss:.3f}")
        click.echo()
    now = said.policy.gate.threshold
    click.echo("another threshold would have asked, on the same evidence:")
    for one in said.what_ifs:
        what = "the whole frame" if one.whole_frame else f"{one.asked} candidates"
        size = f", about {one.bytes:,.0f} bytes" if one.bytes else ""
        mark = "  (this one)" if math.isclose(one.threshold, now) else ""
        click.echo(f"  {one.threshold:<6g} {what}{size}{mark}")


def _section(title: str, lines: tuple[str, ...]) -> None:
    if lines:
        click.echo(f"{title}:")
        for line in lines:
            click.echo(f"  {line}")
        click.echo()


def _table(candidates: tuple[CandidateStory, ...]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("class", "track"):
        table.add_column(name)
    for name in ("score", "right", "saves", "bytes"):
        table.add_column(name, justify="right")
    for name in ("fate", "why", "verdict"):
        table.add_column(name, overflow="fold")
    for one in candidates:
        table.add_row(
            escape(one.name) or "(place)",
            "" if one.track < 0 else str(one.track),
            f"{one.score:.2f}",
            f"{one.right:.2f}",
            f"{one.loss:.3f}",
            f"{one.bytes:,.0f}",
            one.fate,
            escape(one.why),
            escape(one.effect),
        )
    output_console().print(table)
