"""A live table of the cameras, on standard error."""

from __future__ import annotations

import anyio
from rich.console import Console
from rich.live import Live
from rich.table import Table

from secondlook.edge.daemon.daemon import Daemon
from secondlook.edge.daemon.status import CameraStatus, Phase
from secondlook.edge.memory.meter import MemoryTotals

_REFRESH_S = 0.25
_STYLES = {Phase.RUNNING: "green", Phase.FAILED: "red", Phase.WAITING: "yellow"}


async def show_progress(daemon: Daemon) -> None:
    """Keep the table up to date until cancelled; the last state stays on the screen."""
    console = Console(stderr=True)
    with Live(table(daemon), console=console, auto_refresh=False) as live:
        try:
            while True:
                await anyio.sleep(_REFRESH_S)
                live.update(table(daemon), refresh=True)
        finally:
            live.update(table(daemon), refresh=True)


def table(daemon: Daemon) -> Table:
    """The table as it is now."""
    totals = daemon.uplink.meter.totals
    view = Table(
        title=f"uplink {daemon.uplink.state.value}, {totals.sent_bytes / 1000:.0f} KB sent; "
        + _memory(daemon.memory.totals),
        title_justify="left",
    )
    view.add_column("camera")
    view.add_column("state")
    for name in ("fps", "answers", "asked", "KB", "verdicts", "revised", "ms", "restarts"):
        view.add_column(name, justify="right")
    view.add_column("trust")
    view.add_column("problem")
    for status in daemon.statuses:
        view.add_row(*_row(status))
    return view


def _memory(totals: MemoryTotals) -> str:
    said = f"memory {totals.state}, {totals.recalled} recalled, {totals.written} written"
    if totals.unsynced or totals.undecided:
        said += f", {totals.unsynced} to share, {totals.undecided} undecided"
    return said


def _row(status: CameraStatus) -> list[str]:
    style = _STYLES.get(status.phase)
    phase = status.phase.value
    return [
        status.camera,
        f"[{style}]{phase}[/]" if style else phase,
        f"{status.rate_fps:.1f}",
        str(status.answers),
        str(status.escalations),
        f"{status.sent_bytes / 1000:.0f}",
        str(status.verdicts),
        str(status.revisions),
        f"{1000 * status.latency_s:.0f}",
        str(status.restarts),
        status.trust,
        status.problem or status.problem_of_budget or status.problem_of_trust,
    ]
