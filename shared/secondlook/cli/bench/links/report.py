"""A run for people: what passed, who got what and why, and what does not hold."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from secondlook.cli.bench.links.figures import CameraOutcome
from secondlook.cli.bench.links.outcome import LinkOutcome
from secondlook.cli.bench.links.plan import WINDOW_S


def show(found: LinkOutcome, console: Console) -> None:
    """Print one run."""
    recorded, plan = found.recorded, found.recorded.plan
    link = plan.link
    seconds = recorded.ended_s - recorded.began_s
    console.print(
        f"\n[bold]{link.name}[/]: {len(plan.cameras)} cameras at {plan.fps:g} frames/s for "
        f"{seconds:.0f} s, budget {plan.kb_per_s:g} KB/s and {plan.kb_per_s * plan.burst_s:g} KB "
        f"at once; link {link.up_kbit_s / 8:.0f} KB/s up, {1000 * link.rtt_s:.0f} ms",
        highlight=False,
    )
    console.print(_who(found.cameras))
    _wire(found, console)
    for one in found.phases:
        console.print(
            f"{one.name:>6} {one.from_s:5.0f} to {one.to_s:3.0f} s: {one.fps:.2f} answers/s a "
            f"camera, {one.up_kb_per_s:.2f} KB/s up, {one.revisions} answers revised; "
            f"{one.cpu_ms:.0f} ms of CPU an answer, {one.cores:.2f} cores for both tiers",
            highlight=False,
        )
    if link.down_from_s is not None:
        _outage(found, console)
    for remark in found.remarks:
        console.print(f"note: {remark}", style="yellow", highlight=False)
    for problem in found.broken:
        console.print(f"broken: {problem}", style="red", highlight=False)
    if not found.broken:
        console.print("all of it holds", style="green")


def _who(cameras: tuple[CameraOutcome, ...]) -> Table:
    table = Table()
    table.add_column("camera")
    for name in ("fps", "asked", "audits", "verdicts", "revised", "spent KB/s", "gets KB/s"):
        table.add_column(name, justify="right")
    table.add_column("F1 at once, final", justify="right")
    table.add_column("dear", justify="right")
    table.add_column("why, and what accuracy suffers from")
    for one in cameras:
        table.add_row(
            one.camera.name,
            f"{one.fps:.2f}",
            str(one.asked),
            str(one.audits_decided),
            str(one.verdicts),
            str(one.revisions),
            f"{one.spent_kb_per_s:.2f}",
            f"{one.granted_kb_per_s:.2f}",
            "" if one.quality is None else f"{one.quality.first:.3f} {one.quality.final:.3f}",
            f"{100 * one.dear:.0f} %",
            why(one),
        )
    return table


def why(one: CameraOutcome) -> str:
    """Why a camera gets what it gets, and what keeps its answers from being better."""
    said = [one.why] if one.why else []
    if one.slo:
        said.append(one.slo)
    if one.dear:
        said.append(f"on {100 * one.dear:.0f} % of its frames the budget left something unasked")
    if one.unpaid:
        said.append(f"{one.unpaid} questions found no budget")
    if one.offline:
        said.append(f"{one.offline} not asked while the cloud was away")
    if one.lost:
        said.append(f"{one.lost} without a verdict")
    return "; ".join(said)


def _wire(found: LinkOutcome, console: Console) -> None:
    recorded, plan = found.recorded, found.recorded.plan
    up = sum(item.size for item in recorded.up) / 1000
    down = sum(item.size for item in recorded.down) / 1000
    console.print(
        f"on the wire: {up:.1f} KB up, {down:.1f} KB down, {recorded.traffic.connections} "
        "connections; headers, retries, audits and the memory's synchronisation included",
        highlight=False,
    )
    for seconds, sent in found.most.items():
        allowed = plan.allowed(seconds)
        text = f"most within any {seconds:g} s: {sent / 1000:.1f} of {allowed / 1000:.1f} KB"
        style = "bold" if seconds == WINDOW_S else "dim"
        console.print(text, style="red" if sent > allowed else style, highlight=False)


def _outage(found: LinkOutcome, console: Console) -> None:
    recorded, spool = found.recorded, found.spool
    noticed = ", ".join(f"{seconds:.0f} s" for seconds in recorded.log.outages) or "never"
    most = max((count for _, count in recorded.held), default=0)
    late = sum(one.late_verdicts for one in found.cameras)
    console.print(
        f"outage noticed for {noticed}; {spool['stored']} questions went to the disk, {most} at "
        f"most; {late} of them have their verdict, {spool['left']} still wait",
        highlight=False,
    )
    for one in found.cameras:
        spoilt = "; ".join(one.spoilt) or "no window is spoilt"
        console.print(f"trust of {one.camera.name}: {one.trust}; {spoilt}", highlight=False)
