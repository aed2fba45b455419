"""What a run has to show, whatever the machine: each that does not hold is told."""

from __future__ import annotations

from collections.abc import Sequence

from secondlook.cli.bench.links.figures import CameraOutcome, Phase
from secondlook.cli.bench.links.run import Recorded

KEPT = 0.95
"""A frame rate is kept from this share on."""


def broken(
    recorded: Recorded,
    cameras: Sequence[CameraOutcome],
    most: dict[float, int],
    spool: dict[str, int],
    phases: Sequence[Phase],
) -> list[str]:
    """What does not hold, in plain words; empty where all does.

    Args:
        recorded: what was seen of a run.
        cameras: each of them.
        most: most bytes that went up within any so many seconds.
        spool: what became of questions for the disk.
        phases: parts of the run, in order.
    """
    plan = recorded.plan
    found = [
        f"{sent / 1000:.1f} KB went up within {seconds:g} s, "
        f"the bucket allows {plan.allowed(seconds) / 1000:.1f}"
        for seconds, sent in most.items()
        if sent > plan.allowed(seconds)
    ]
    for one in cameras:
        name = one.camera.name
        if not one.answered:
            found.append(f"{name}: no frame was answered")
        if one.in_hand > 1:
            found.append(f"{name}: {one.in_hand} captured frames without an answer")
        twice = one.answered - len(recorded.heard.cameras[name].playback.answers)
        if twice:
            found.append(f"{name}: {twice} frames were answered twice")
        if one.lost_audits:
            found.append(f"{name}: {one.lost_audits} audits were lost")
        # Audits that did not go at once went to the disk; of the others those that failed did.
        failed = one.spooled - (one.audits_decided - one.audits)
        ended = one.verdicts - one.late_verdicts + one.lost + failed
        if one.asked != ended:
            found.append(f"{name}: {one.asked} questions were asked, {ended} came to an end")
    harmed = {fate: spool[fate] for fate in ("crowded_out", "stale", "corrupt", "failed")}
    found += [f"{count} questions on disk were {fate}" for fate, count in harmed.items() if count]
    stored = sum(one.spooled for one in cameras)
    waited = sum(one.late_verdicts for one in cameras)
    ended = waited + spool["rejected"] + spool["orphaned"] + spool["left"]
    if stored != ended:
        found.append(f"{stored} questions went to the disk, {ended} were sent or are still there")
    if plan.link.down_from_s is not None:
        found += _after_the_outage(recorded, cameras, phases)
    return found


def _after_the_outage(
    recorded: Recorded, cameras: Sequence[CameraOutcome], phases: Sequence[Phase]
) -> list[str]:
    found = [
        f"{one.camera.name}: no window of trust is marked uncertified"
        for one in cameras
        if not one.spoilt
    ]
    after = phases[-1]
    if not after.revisions:
        found.append("after the outage no verdict changed an answer")
    if any(one.spooled for one in cameras) and not any(one.late_verdicts for one in cameras):
        found.append("nothing that waited on disk was answered")
    if not recorded.log.outages:
        found.append("the edge did not notice that the link was down, or that it is back")
    return found


def remarks(recorded: Recorded, cameras: Sequence[CameraOutcome]) -> list[str]:
    """What is no promise, but should be known."""
    wanted = recorded.plan.fps
    slow = [one for one in cameras if one.fps < KEPT * wanted]
    found = [
        f"{one.camera.name}: this machine kept {one.fps:.2f} of {wanted:g} frames a second, "
        f"{one.dropped} were dropped before anyone could look at them"
        for one in slow
    ]
    if recorded.left:
        found.append(f"{recorded.left} questions wait on disk for the next run")
    return found
