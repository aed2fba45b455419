"""What the self-test of the site did over a clip: which way it chose, when, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.table import Table

from secondlook.edge.pipeline import CameraPipeline
from secondlook.shared.memory.kinds import SiteMode


@dataclass(frozen=True, slots=True)
class WayTaken:
    """A way of working takes the place of another.

    Attributes:
        media_s: time in the clip, seconds.
        frame: place among the analysed frames, from 0.
        before, after: the ways.
        reasons: why, in plain words.
    """

    media_s: float
    frame: int
    before: str
    after: str
    reasons: tuple[str, ...]


@dataclass(slots=True)
class WayLog:
    """Of one system.

    Attributes:
        standing: what stands, and what it rests on.
        changes: of the way, oldest first.
        second_looks: audits that were asked about a second time.
        second_bytes: what that put on the wire; it is in the system's bytes.
    """

    standing: SiteMode
    changes: list[WayTaken] = field(default_factory=list)
    second_looks: int = 0
    second_bytes: int = 0

    @classmethod
    def of(cls, pipeline: CameraPipeline, at_s: float) -> WayLog | None:
        """At the beginning of a clip; ``None`` where the settings name the way."""
        return None if pipeline.way is None else cls(pipeline.way.snapshot(at_s))

    def note(self, pipeline: CameraPipeline, at_s: float, media_s: float, frame: int) -> None:
        """Take down what has changed with a frame.

        Args:
            pipeline: which has answered it.
            at_s: wall clock of its capture, seconds since the Unix epoch.
            media_s: its time in the clip, seconds.
            frame: its place among the analysed frames, from 0.
        """
        assert pipeline.way is not None
        for change in pipeline.take_ways():
            self.changes.append(
                WayTaken(media_s, frame, change.before.value, change.after.value, change.reasons)
            )
        self.standing = pipeline.way.snapshot(at_s)

    @property
    def began(self) -> str:
        """The way to begin with."""
        return self.changes[0].before if self.changes else self.standing.mode

    def as_json(self) -> dict[str, Any]:
        """As in the JSON of `secondlook price`."""
        standing = self.standing
        return {
            "began": self.began,
            "way": standing.mode,
            "settled": standing.settled,
            "reasons": list(standing.reasons),
            "audits": standing.edge.count,
            "bytes_per_s": {way: round(sent, 1) for way, sent in standing.bytes_per_s.items()},
            "changes": [
                {
                    "media_s": round(change.media_s, 3),
                    "frame": change.frame,
                    "before": change.before,
                    "after": change.after,
                    "reasons": list(change.reasons),
                }
                for change in self.changes
            ],
            "looked_twice": self.second_looks,
            "looked_twice_kb": round(self.second_bytes / 1000, 3),
        }


def way_tables(named: Sequence[tuple[str, WayLog]]) -> list[Table]:
    """One table for each system: title of the system, and what its self-test did."""
    return [_table(title, log) for title, log in named]


def _table(title: str, log: WayLog) -> Table:
    standing = log.standing
    state = "settled" if standing.settled else "not settled"
    title = f"{title}, self-test: {standing.mode}, {state} after {standing.edge.count} audits"
    if log.second_looks:
        kb = log.second_bytes / 1000
        title += f"; {log.second_looks} looked at twice, {kb:.1f} KB, charged"
    table = Table(
        title=title, title_justify="left", title_style="italic", box=box.SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("from, s", justify="right", no_wrap=True)
    table.add_column("way", no_wrap=True)
    table.add_column("why")
    table.add_row("0.0", log.began, "every camera begins with the gate")
    for change in log.changes:
        table.add_row(f"{change.media_s:.1f}", change.after, "; ".join(change.reasons))
    table.add_row("at the end", standing.mode, "; ".join(standing.reasons))
    return table
