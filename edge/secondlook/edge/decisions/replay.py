"""What another policy would have cost and lost: the same evidence through the very same gate.

What cannot be re-lived: evidence depends on earlier verdicts. A policy that asks less would have
had fewer verdicts, and more to be unsure of later; one that asks more the other way round. So what
is said about another policy is about each frame as it was met, and `LIMITS` says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from secondlook.edge.control import Allowance, Controller
from secondlook.edge.control.reservation import Reservation
from secondlook.edge.decisions.comparison import Comparison, Tally
from secondlook.edge.decisions.policy import PolicySettings, policy_of
from secondlook.edge.decisions.prices import Prices
from secondlook.edge.decisions.reading import Story
from secondlook.edge.decisions.records import FrameRecord, LogHeader
from secondlook.edge.gate.policy import RiskGate
from secondlook.edge.gate.protocol import Choice, Terms
from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions import Canonical, regions_around
from secondlook.shared.geometry import coverage
from secondlook.shared.trust import AuditCoin
from secondlook.shared.trust.scoring import COVERED

_LIMITS = """\
Evidence that depends on earlier verdicts is as it was: a policy that asks less would have known \
less on later frames, one that asks more would have known more.
Bytes of questions that were never packed are estimates, corrected by what estimates were worth \
where questions were packed.
Expected errors are what the gate's risk model says; misses without any sign are known from audits \
alone."""
LIMITS = tuple(_LIMITS.split("\n"))
"""What a replay cannot know."""

_LONGEST_S = 60.0


@dataclass(slots=True, eq=False)
class _Camera:
    """One camera while it is replayed."""

    comparison: Comparison
    header: LogHeader | None = None
    own: PolicySettings = field(default_factory=PolicySettings)
    other: PolicySettings = field(default_factory=PolicySettings)
    prices: Prices = field(default_factory=Prices)
    last_s: float = 0.0


class Replay:
    """Plays the frames of a site through another policy.

    Args:
        policy: the other policy of a camera, for the header of one of its files.
        headers: one of each camera: under the other policy they may share a budget.
    """

    def __init__(
        self, policy: Callable[[LogHeader], PolicySettings], headers: Iterable[LogHeader]
    ) -> None:
        self._policy = policy
        self._budgets = {one.camera: policy(one).camera_budget for one in headers}
        self._cameras: dict[str, _Camera] = {}
        self._controller: Controller | None = None
        self._open: deque[tuple[float, Reservation]] = deque()

    def run(self, stories: Iterable[Story]) -> list[Comparison]:
        """Replay.

        Args:
            stories: of all cameras, in the order of their times.
        """
        for story in stories:
            self._play(story)
        return [camera.comparison for camera in self._cameras.values()]

    def _play(self, story: Story) -> None:
        camera = self._camera(story)
        frame, result = story.frame, camera.comparison
        gate = RiskGate(camera.other.gate)
        terms = self._terms(camera, frame)
        choice = gate.choose(frame.evidence, terms)
        result.frames += 1
        if result.frames > 1 and frame.captured_s > camera.last_s:
            # Longer than that, the camera was away.
            result.seconds += min(_LONGEST_S, frame.captured_s - camera.last_s)
        camera.last_s = frame.captured_s
        own = frame.choice
        result.exact += choice == own
        if frame.asks_same(choice) and own.purpose == choice.purpose:
            result.same += 1
        elif result.first_difference is None:
            result.first_difference = frame.sequence
        result.done.chose(frame, own)
        if story.left_the_site:
            result.sent += 1
            result.done.wire_bytes += camera.prices.wire_bytes(story, own)
        spent = self._pay(camera, story, choice)
        if spent is None:
            # The budget refused when it came to it: nothing is asked after all.
            choice = Choice(reasons=choice.reasons, coin=choice.coin, left=choice.ask)
        result.other.chose(frame, choice)
        result.other.wire_bytes += spent or 0.0
        camera.prices.learn(story)
        if story.verdict is not None:
            own_gate = RiskGate(camera.own.gate)
            _judge(story, replace(frame.terms, audit_rate=0.0), own_gate, result.done)
            _judge(story, replace(terms, audit_rate=0.0), gate, result.other)
            result.corrections += story.verdict.corrections
            result.done.corrections += story.verdict.corrections
            result.other.corrections += _put_right(story, choice, camera.own.regions)

    def _camera(self, story: Story) -> _Camera:
        header = story.header
        camera = self._cameras.get(header.camera)
        if camera is None:
            camera = self._cameras[header.camera] = _Camera(Comparison(header.camera))
        if camera.header is not header:
            camera.header = header
            camera.own, camera.other = policy_of(header), self._policy(header)
        return camera

    def _terms(self, camera: _Camera, frame: FrameRecord) -> Terms:
        own, other, terms = camera.own, camera.other, frame.terms
        if own.trust.audit_rate != other.trust.audit_rate:
            terms = replace(terms, audit_rate=other.trust.audit_rate)
        if own.trust.seed != other.trust.seed:
            coin = AuditCoin(other.trust.seed, camera.comparison.camera)
            terms = replace(terms, coin=coin.throw(frame.sequence))
        if other == own:
            # As it was: what was spent is known to have been spent.
            return terms
        if not other.limited:
            return replace(terms, allowance=Allowance(late=terms.allowance.late))
        return replace(terms, allowance=self._allowance(camera, frame))

    def _allowance(self, camera: _Camera, frame: FrameRecord) -> Allowance:
        now_s, name = frame.captured_s, camera.comparison.camera
        if self._controller is None:
            other = camera.other
            self._controller = Controller(
                other.budget,
                self._budgets,
                now_s,
                answer_within_s=other.answer_within_s,
            )
        while self._open and self._open[0][0] <= now_s:
            self._open.popleft()[1].close(now_s)
        return self._controller.allowance(name, now_s)

    def _pay(self, camera: _Camera, story: Story, choice: Choice) -> float | None:
        """What a choice takes, bytes on the wire; ``None`` where the budget refuses it."""
        if not (choice.whole_frame or choice.ask):
            return 0.0
        size = camera.prices.wire_bytes(story, choice)
        if camera.other == camera.own:
            return size if story.left_the_site else 0.0
        if self._controller is not None and camera.other.limited:
            now_s, name = story.frame.captured_s, camera.comparison.camera
            paid = self._controller.reserve(name, choice.purpose, size, 1, now_s)
            if paid is None:
                return None
            paid.attempt(size, now_s)
            self._open.append((now_s + camera.prices.latency_s, paid))
        return size


def _judge(story: Story, terms: Terms, gate: RiskGate, tally: Tally) -> None:
    """What an audit says about a policy: which objects it would not have been shown."""
    assert story.verdict is not None
    missed = story.verdict.missed
    if missed is None:
        return
    # An audit is scored on what would have been asked without it.
    choice = gate.choose(story.frame.evidence, terms)
    shown = set(choice.ask)
    left = [one for one in missed if not choice.whole_frame and one.candidate not in shown]
    tally.audited += 1
    tally.missed += len(left)
    tally.missed_frames += bool(left)


def _put_right(story: Story, choice: Choice, settings: RegionSettings) -> int:
    """How many of a verdict's corrections a choice would have brought about on the same frame."""
    verdict, frame = story.verdict, story.frame
    assert verdict is not None
    if choice.whole_frame or frame.asks_same(choice):
        return verdict.corrections
    if not choice.ask:
        return 0
    canonical = Canonical.of(frame.width, frame.height, settings.canonical_width_px)
    boxes = frame.evidence.boxes
    regions = regions_around(
        boxes[list(choice.ask)], [""] * len(choice.ask), canonical, settings, others=boxes
    )
    places = np.array([region.xyxy for region in regions], np.float32)
    wrong = {*verdict.refuted, *(track for track, _ in verdict.changed)}
    rows = [row for row, track in enumerate(frame.evidence.track_ids.tolist()) if track in wrong]
    found = [boxes[rows], np.array([box for _, box in verdict.new], np.float32).reshape(-1, 4)]
    shown = coverage(np.concatenate(found), places).max(axis=1, initial=0) >= COVERED
    return int(shown.sum())
