"""From what was seen of a run to its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from secondlook.cli.bench.links.checks import broken, remarks
from secondlook.cli.bench.links.figures import CameraOutcome, Phase
from secondlook.cli.bench.links.plan import WINDOW_S, Camera
from secondlook.cli.bench.links.run import Recorded
from secondlook.cli.bench.links.truth import Quality
from secondlook.shared.measure import most_within, spread

WINDOWS_S = (1.0, 10.0, 30.0, WINDOW_S)
"""Stretches over which the bytes are judged; the promise is about any length."""


@dataclass(frozen=True, slots=True, eq=False)
class LinkOutcome:
    """One run in numbers.

    Attributes:
        recorded: what was seen.
        cameras: each of them.
        phases: before, during and after the outage; or all of it.
        most: for each of `WINDOWS_S`, most bytes that went up within any so many seconds.
        spool: what became of questions for the disk.
        broken: what does not hold, in plain words; empty where all does.
        remarks: what is no promise, but should be known: a rate that the machine could not keep.
    """

    recorded: Recorded
    cameras: tuple[CameraOutcome, ...]
    phases: tuple[Phase, ...]
    most: dict[float, int]
    spool: dict[str, int]
    broken: tuple[str, ...]
    remarks: tuple[str, ...]


def outcome_of(recorded: Recorded, qualities: Sequence[Quality | None]) -> LinkOutcome:
    """The numbers of a run.

    Args:
        recorded: what was seen.
        qualities: of each camera, in the order of the plan.
    """
    cameras = tuple(
        _camera(recorded, camera, found)
        for camera, found in zip(recorded.plan.cameras, qualities, strict=True)
    )
    most = {seconds: most_within(recorded.up, seconds) for seconds in WINDOWS_S}
    fates = ("stored", "taken", "crowded_out", "stale", "corrupt", "failed", "rejected", "orphaned")
    spool = {fate: int(recorded.scraped.value("spool_fate_total", fate=fate)) for fate in fates}
    spool["left"] = recorded.left
    phases = _phases(recorded)
    return LinkOutcome(
        recorded,
        cameras,
        phases,
        most,
        spool,
        tuple(broken(recorded, cameras, most, spool, phases)),
        tuple(remarks(recorded, cameras)),
    )


def _camera(recorded: Recorded, camera: Camera, found: Quality | None) -> CameraOutcome:
    scraped, name = recorded.scraped, camera.name
    heard, said = recorded.heard.cameras[name], recorded.log.last.get(name, {})
    captured = int(scraped.value("capture_frames_total", camera=name))
    shares = recorded.log.shares.get(name, [])
    standing = recorded.standings.get(name)
    seconds = recorded.ended_s - recorded.began_s
    spent = scraped.value("budget_spent_total", camera=name, resource="bytes")
    answered = len(heard.captured_at)
    windows = () if standing is None else standing.windows
    return CameraOutcome(
        camera=camera,
        captured=captured,
        dropped=int(scraped.value("capture_dropped_frames_total", camera=name)),
        answered=answered,
        in_hand=captured - int(scraped.value("answers_total", camera=name)),
        fps=_rate(heard.captured_at),
        latency_s=spread([answer.first_s for answer in heard.playback.answers.values()]),
        asked=said.get("escalations", 0),
        audits=said.get("audits", 0),
        verdicts=said.get("verdicts", 0),
        late_verdicts=said.get("late_verdicts", 0),
        revisions=said.get("revisions", 0),
        unpaid=said.get("unpaid", 0),
        offline=said.get("offline", 0),
        lost=said.get("lost", 0),
        spooled=said.get("spooled", 0),
        dear=heard.dear / max(1, answered),
        audits_decided=heard.purposes["audit"],
        lost_audits=int(scraped.value("trust_lost_audits_total", camera=name)),
        spent_kb_per_s=spent / 1000 / seconds,
        granted_kb_per_s=sum(kb for kb, _ in shares) / max(1, len(shares)),
        why=Counter(why for _, why in shares).most_common(1)[0][0] if shares else "",
        price=scraped.value("budget_price", camera=name, resource="bytes"),
        slo=said.get("budget", ""),
        trust=scraped.label("trust_state", "state", camera=name),
        spoilt=tuple(dict.fromkeys(w.spoilt for w in windows if w.spoilt)),
        quality=found,
    )


def _rate(captured_at: Sequence[float]) -> float:
    passed_s = captured_at[-1] - captured_at[0] if captured_at else 0.0
    return (len(captured_at) - 1) / passed_s if passed_s > 0 else 0.0


def _phases(recorded: Recorded) -> tuple[Phase, ...]:
    link, began_s = recorded.plan.link, recorded.began_s
    whole_s = recorded.ended_s - began_s
    if link.down_from_s is None:
        return (_phase(recorded, "all", 0.0, whole_s),)
    down_s, back_s = link.down_from_s, link.down_from_s + link.down_for_s
    return (
        _phase(recorded, "before", 0.0, down_s),
        _phase(recorded, "cut", down_s, back_s),
        _phase(recorded, "after", back_s, whole_s),
    )


def _phase(recorded: Recorded, name: str, from_s: float, to_s: float) -> Phase:
    def inside(at_s: float) -> bool:
        return from_s <= at_s - recorded.began_at < to_s

    cameras = recorded.heard.cameras.values()
    answered = sum(inside(at) for one in cameras for at in one.captured_at)
    revised = sum(inside(at) for one in cameras for at in one.revised_at)
    low, high = recorded.began_s + from_s, recorded.began_s + to_s
    up = sum(item.size for item in recorded.up if low <= item.at_s < high)
    long_s = max(to_s - from_s, 1e-9)
    fps = answered / long_s / len(recorded.plan.cameras)
    looks = [one for one in recorded.cpu if low <= one.at_s <= high]
    edge_s = cloud_s = passed_s = 0.0
    if len(looks) > 1:
        edge_s = looks[-1].edge_s - looks[0].edge_s
        cloud_s = looks[-1].cloud_s - looks[0].cloud_s
        passed_s = looks[-1].at_s - looks[0].at_s
    return Phase(
        name,
        from_s,
        to_s,
        fps,
        up / 1000 / long_s,
        revised,
        1000 * edge_s / max(answered, 1),
        (edge_s + cloud_s) / max(passed_s, 1e-9),
    )
