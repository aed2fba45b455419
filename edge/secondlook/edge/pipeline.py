"""One camera, from boxes to answers and from verdicts to revisions. No I/O.

Time is *stream time*: ``media_s`` of the frame where the caller knows it, else its capture time.
Motion, the life of verdicts and the history are measured in it, so that a clip played faster than
real time gives the answers that it would give live, and a replay gives them again.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from secondlook.edge.appearance import Thumbnail, thumbnail
from secondlook.edge.auditing import Auditor, TrustNews
from secondlook.edge.carrier import Carried, Carrier
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.deciding import Decider
from secondlook.edge.decisions.recorder import Recorder
from secondlook.edge.decisions.records import Record
from secondlook.edge.evidence.gathering import assess
from secondlook.edge.evidence.misses import Signs, Usual
from secondlook.edge.fusion import Entry, Vocabulary, compose, read
from secondlook.edge.fusion.learning import learn
from secondlook.edge.gate import Gate, Risk, RiskGate, RiskModel, cold_start
from secondlook.edge.gate.calibrator import Calibrator
from secondlook.edge.memory.knowledge import Knowledge
from secondlook.edge.memory.notes import SELFTEST, Note, Recollection
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_counts import PipelineCounts, PipelineTimings
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.privacy import Veil
from secondlook.edge.questions import Asked, suspects_in, tracks_in
from secondlook.edge.scene import Scene
from secondlook.edge.selftest import ModeChange, SiteTest
from secondlook.edge.selftest.conduct import SelfTest
from secondlook.shared.clock import Clock
from secondlook.shared.errors import InvalidInput, SecondlookError
from secondlook.shared.memory.kinds import SiteMode, TrustWindow
from secondlook.shared.trust import TrustKeeper, TrustState
from secondlook.shared.values import (
    Detections,
    Escalation,
    Frame,
    FrameRef,
    Observation,
    Purpose,
    Verdict,
)

_MAX_NOTES = 4096
"""Most notes that wait to be taken; far more than one step gives."""


class CameraPipeline:
    """Tracker, gate, regions and fusion of one camera. Not safe for concurrent use.

    Args:
        camera: id of the camera.
        settings: of all its parts.
        names: class names of the light model.
        clock: stamps what is published where the caller does not say.
        session: makes request ids unique, printable ASCII; random where not given.
        gate: decides what is asked; `RiskGate` where not given.
        risk: how likely answers are right; the cold-start rule where not given.
        carrier: how regions travel; stateless mosaics where not given.
        first_track_id: where a pipeline goes on that broke down.
        known: what earlier processes knew about the camera, possibly nothing; `take_notes` then
            says what is to be written down. Without it nothing outlives this pipeline.
        recorder: takes down what is decided, for `take_records`; nobody where not given.
        fingerprint: of the gate, on which a certificate rests.
        keeper: of the camera's trust; made here where not given.

    Attributes:
        model: the heavy model that is asked for; empty for the service's default.
        packer: packs what is asked.
    """

    def __init__(
        self,
        camera: str,
        settings: PipelineSettings,
        names: tuple[str, ...],
        clock: Clock,
        *,
        session: str = "",
        gate: Gate | None = None,
        risk: RiskModel | None = None,
        carrier: Carrier | None = None,
        first_track_id: int = 1,
        known: Recollection | None = None,
        recorder: Recorder | None = None,
        fingerprint: str = "cold-start",
        keeper: TrustKeeper | None = None,
    ) -> None:
        self.camera = camera
        self.model = ""
        self.counts = PipelineCounts()
        self.timings = PipelineTimings()
        self._settings = settings
        self._clock = clock
        self._session = session or secrets.token_hex(6)
        self._risk = risk or cold_start()
        self._classes = len(names)
        wanted = frozenset(settings.gate.classes) & frozenset(names)
        self._interest = wanted or None
        self._vocabulary = Vocabulary(names)
        self._size: tuple[int, int] | None = None
        self._known = known
        self._remembers = known is not None
        self._recorder = recorder
        self._veil = Veil(settings.privacy) if settings.privacy.blur_classes else None
        self._notes: deque[Note] = deque(maxlen=_MAX_NOTES)
        self.packer = Packer(settings, carrier)
        self._calibrator = Calibrator.of(settings, self._risk, self._interest, known)
        self._auditor = Auditor(
            camera,
            settings,
            fingerprint,
            self._interest,
            known or Recollection(),
            clock.wall(),
            keeper,
        )
        self._selftest = SelfTest.of(
            settings, self._interest, self.packer, known.selftest if known else None
        )
        self._decider = Decider(
            camera,
            settings,
            gate or RiskGate(settings.gate),
            self._interest,
            clock,
            self.packer,
            self._auditor,
            self._selftest,
            recorder,
        )
        self._scene = Scene(settings, len(names), first_track_id)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names known now: the light model's, then those that verdicts brought."""
        return self._vocabulary.names

    @property
    def waiting(self) -> int:
        """Questions without a verdict."""
        return len(self._scene.questions)

    @property
    def next_track_id(self) -> int:
        """No track has had this id or one above it."""
        return self._scene.tracker.next_id

    def answer(
        self,
        frame: Frame,
        detections: Detections,
        now_s: float | None = None,
        *,
        media_s: float | None = None,
        allowance: Allowance | None = None,
        away: str = "",
    ) -> Observation:
        """The edge's answer to the next frame, and what its gate decided.

        Args:
            frame: the next frame of this camera.
            detections: what the light model saw in it, scores from about 0.05 on.
            now_s: monotonic time of publication, seconds; the clock's where not given.
            media_s: time of the frame in its stream, seconds; its capture time where not given.
            allowance: what may be spent now; everything where not given.
            away: why the cloud cannot be asked; empty where it can.
        """
        started_s = time.perf_counter()
        look = thumbnail(frame.image, self._settings.motion.width_px)
        given_s = frame.ref.captured_s if media_s is None else media_s
        self._fit(frame.ref, look, given_s)
        scene = self._scene
        time_s = scene.stream_time(given_s)
        allowance = allowance or Allowance.unlimited()
        self._auditor.link(away, frame.ref.captured_at)
        self._auditor.budget(str(allowance.slo or ""), frame.ref.captured_at)
        translated = self._vocabulary.translate(detections)
        tracked, features, unseen = scene.see(translated, look, frame.ref, time_s)
        tracked_s = time.perf_counter()
        present = {*tracked.track_ids.tolist(), *(item.track_id for item in unseen)}
        beliefs = {key: scene.beliefs[key] for key in present if key in scene.beliefs}
        draft = Observation(frame.ref, Detections.empty(self.names))
        entry = Entry(frame.ref, time_s, look, tracked, features, unseen, beliefs, draft)
        if self._veil is not None:
            self._veil.see(detections, entry)
        risk = self._assess(entry)
        published, candidates = compose(entry, risk.right, self.names, self._settings.fusion)
        entry.signs = self._signs(entry, published)
        entry.observation = replace(
            draft,
            detections=published,
            candidates=candidates,
            decision=self._decider.decide(entry, scene, risk, published, allowance),
            published_s=self._clock.monotonic() if now_s is None else now_s,
        )
        scene.history.add(entry)
        self._calibrator.answered(entry, self._auditor.audit_rate)
        if scene.knowledge is not None:
            scene.knowledge.published(published, time_s)
        self._keep_picture(frame, entry)
        self.timings = PipelineTimings(tracked_s - started_s, time.perf_counter() - tracked_s)
        return entry.observation

    def escalation(
        self, frame: Frame, observation: Observation, *, alone: bool = False
    ) -> Escalation | None:
        """The question of an answer's decision, packed and encoded; ``None`` without one.

        From here on the question counts as asked, until `apply` or `asked_failed`.

        Args:
            frame: what was answered.
            observation: the answer.
            alone: it must mean something by itself, also later: no update of a canvas.
        """
        decision = observation.decision
        if decision is None or not decision.regions:
            return None
        started_s = time.perf_counter()
        image, blurred = self._veiled(frame)
        try:
            carried = self.packer.encode(image, decision.regions, frame.ref, alone=alone)
        except InvalidInput:
            # A limit of bytes that the lowest quality exceeds: the answer stands as it is.
            self.counts.unencodable += 1
            return None
        self.counts.copied_bytes += carried.copied_bytes
        request_id = f"{self._session}-{frame.ref.sequence}"
        escalation = self._question(frame.ref, carried, request_id, decision.purpose)
        self.timings.encode_s = time.perf_counter() - started_s
        self._auditor.asked(escalation)
        self.packer.packed(escalation, image)
        if self._selftest is not None:
            self._selftest.packed(escalation, image, self._scene.now_s)
        if self._recorder is not None:
            now_s = self._clock.monotonic()
            self._recorder.sent(escalation, carried.quality, blurred, now_s)
        if self._scene.knowledge is not None:
            self._scene.knowledge.asked()
        entry = self._scene.history.find(frame.ref.sequence)
        if entry is not None:
            self._scene.questions.add(
                Asked(
                    escalation.request_id,
                    frame.ref.sequence,
                    entry.time_s,
                    tracks_in(entry, escalation.regions),
                    escalation.whole_frame,
                    suspects_in(entry, escalation.regions),
                )
            )
        return escalation

    def by_itself(self, escalation: Escalation) -> Escalation | None:
        """An audit that did not get through, packed so that it means something later and alone.

        Returns:
            The same question as a mosaic; ``None`` where its picture is not held (any more).
        """
        return self.packer.by_itself(escalation)

    def not_sent(self, escalation: Escalation, error: SecondlookError | None = None) -> None:
        """A question did not get through, and is kept; ``error`` as for `asked_failed`."""
        self.packer.not_sent(escalation, error)

    def asked_failed(
        self, escalation: Escalation, error: SecondlookError | None = None, why: str = ""
    ) -> None:
        """A question got no verdict: what it asked may be asked again.

        Args:
            escalation: the question.
            error: what became of it; ``None``: it was never sent.
            why: for people, where that is not what the error says.
        """
        said = why or (f"{type(error).__name__}: {error}" if error else "it was not sent")
        if self._recorder is not None:
            self._recorder.way(escalation.sequence, escalation.request_id, "lost", said)
        self._scene.questions.settle(escalation.request_id)
        self.packer.settled(escalation.request_id)
        self.packer.not_sent(escalation, error)
        self._auditor.lost(escalation.request_id, said)
        if self._selftest is not None:
            self._selftest.gone(escalation.request_id)

    def apply(self, verdict: Verdict, now_s: float | None = None) -> list[Observation]:
        """Take in a verdict.

        Returns:
            The answers it changes, oldest first: of the frame it was asked about, and of later
            frames to which tracks carry it. Empty where that frame is no longer kept.
        """
        scene = self._scene
        if self._looked_again(verdict):
            return []
        self.packer.settled(verdict.request_id)
        said = self._vocabulary.translate(verdict.detections)
        if verdict.camera == self.camera:
            sure = said.select(said.scores >= self._settings.fusion.verdict_score)
            # An audit is scored on what was known without it.
            self._auditor.judged(verdict, sure, self._clock.wall())
            if self._calibrator.judged(verdict, said):
                self._auditor.recalibrated(self._clock.wall())
        asked = scene.questions.settle(verdict.request_id)
        if asked is not None and asked.whole_frame:
            scene.background_s = max(asked.time_s, scene.background_s or asked.time_s)
        entry = scene.history.find(asked.sequence) if asked is not None else None
        published_s = self._clock.monotonic() if now_s is None else now_s
        if entry is None or verdict.camera != self.camera:
            self.counts.late_verdicts += 1
            if self._recorder is not None and verdict.camera == self.camera:
                self._recorder.late(verdict, published_s)
            return []
        reading = read(
            entry.tracked,
            said,
            verdict.regions,
            entry.frame,
            self._settings.fusion,
            entry.known(),
        )
        if self._selftest is not None and verdict.purpose is Purpose.AUDIT:
            at_s = entry.frame.captured_at
            self._selftest.judged(entry, reading.verdict, self._assess, self.names, at_s)
        touched = learn(scene, entry, reading, verdict, self._settings)
        if entry.signs.suspects:
            scene.misses.answered(
                entry.signs.suspects,
                entry.look,
                entry.time_s,
                np.array([region.xyxy for region in verdict.regions], np.float32).reshape(-1, 4),
                reading.verdict.boxes[list(reading.new)],
            )
        if scene.knowledge is not None:
            scene.knowledge.answered(verdict.purpose, missed=bool(reading.new))
            if asked is not None and asked.whole_frame:
                scene.knowledge.background(entry.frame.captured_at)
        revised = []
        for later in scene.history.around(entry, self._settings.fusion.look_back_s):
            if any(later.holds(track_id) for track_id in touched):
                observation = self._revised(later, verdict.request_id, published_s)
                if observation is not None:
                    revised.append(observation)
        if self._recorder is not None:
            self._recorder.answered(verdict, reading, entry.tracked, revised, published_s)
        return revised

    def take_notes(self, *, last: bool = False) -> list[Note]:
        """What is to be written down since the last call.

        Args:
            last: the pipeline ends; what was counted is written down too.
        """
        if last and self._scene.knowledge is not None:
            self._scene.knowledge.write_counts()
        notes = list(self._notes)
        self._notes.clear()
        trust = self._auditor.take_notes(self._clock.monotonic(), last=last)
        learned = self._calibrator.take_notes(last=last)
        tested = self._selftest and self._selftest.take_record(self._clock.wall(), last=last)
        modes = [Note(SiteMode, SELFTEST, tested)] if tested else []
        return [*notes, *trust, *learned, *modes] if self._remembers else notes

    def take_trust(self) -> TrustNews:
        """What happened to the camera's trust since the last call."""
        news = self._auditor.take_news()
        for change in news.changes:
            if self._selftest is not None and change.after is TrustState.ALARM:
                self._selftest.alarm(change.reasons, change.at_s)
        return news

    @property
    def way(self) -> SiteTest | None:
        """Which way of working pays here, and why; ``None`` where the settings name it."""
        return None if self._selftest is None else self._selftest.site

    def take_ways(self) -> list[ModeChange]:
        """Changes of the way of working since the last call."""
        return [] if self._selftest is None else self._selftest.take_changes()

    @property
    def rehearses(self) -> bool:
        """Whether `rehearse` has something to do with the frame answered last."""
        return self._selftest is not None and self._selftest.wants_frames

    def rehearse(self, frame: Frame, *, ask: bool = True) -> Escalation | None:
        """Try out on the frame answered last what other ways of working would send.

        Args:
            frame: it; after its answer and its question.
            ask: whether a question can be sent now.

        Returns:
            An audit that is to be asked about a second time, to be sent like any question.
        """
        if self._selftest is None:
            return None
        image, blurred = self._veiled(frame)
        self._selftest.rehearse(image, self.packer.canonical(frame.ref.width, frame.ref.height))
        request_id = f"{self._session}-{frame.ref.sequence}-again"
        carried = self._selftest.again(image, frame.ref, request_id) if ask else None
        if carried is None:
            return None
        escalation = self._question(frame.ref, carried, request_id, Purpose.REFRESH)
        if self._recorder is not None:
            self._recorder.sent(escalation, carried.quality, blurred, self._clock.monotonic())
        return escalation

    def adopt(self, windows: dict[str, TrustWindow]) -> None:
        """Take over what the site has certified about this camera, where that is of use."""
        self._auditor.adopt(windows)

    def take_records(self) -> list[Record]:
        """What is to be logged since the last call."""
        return [] if self._recorder is None else self._recorder.take()

    def _question(
        self, frame: FrameRef, carried: Carried, request_id: str, purpose: Purpose
    ) -> Escalation:
        return Escalation(
            request_id=request_id,
            camera=self.camera,
            sequence=frame.sequence,
            captured_at=frame.captured_at,
            frame_width=frame.width,
            frame_height=frame.height,
            image=carried.image,
            encoding=carried.encoding,
            placements=carried.placements,
            canvas=carried.canvas,
            purpose=purpose,
            min_score=min(self._settings.fusion.verdict_score, self._settings.fusion.weak_score),
            model=self.model,
        )

    def _looked_again(self, verdict: Verdict) -> bool:
        """Whether a verdict is on an audit's second look: that measures, and changes nothing."""
        selftest = self._selftest
        frame = None if selftest is None else selftest.frame_of(verdict.request_id)
        if selftest is None or frame is None or verdict.camera != self.camera:
            return False
        said = self._vocabulary.translate(verdict.detections)
        nothing = Detections.empty(said.names)
        heavy = read(nothing, said, verdict.regions, frame, self._settings.fusion).verdict
        selftest.judged_again(verdict.request_id, heavy, frame.captured_at)
        if self._recorder is not None:
            why = "a second look at an audit: it measures a full stream, and changes nothing"
            self._recorder.way(frame.sequence, verdict.request_id, "measured", why)
        return True

    def _fit(self, frame: FrameRef, look: Thumbnail, given_s: float) -> None:
        """Begin again where the frames have changed their size: nothing known is in its place."""
        if self._size == (frame.width, frame.height):
            return
        self._size = (frame.width, frame.height)
        if self._scene.knowledge is not None:
            self._scene.knowledge.write_counts()
        knowledge = None
        if self._known is not None:
            knowledge = Knowledge(
                self._settings,
                frame,
                self._vocabulary,
                self._session,
                self._notes,
                self._known,
            )
        # Track ids go on: an id is never used twice for one camera.
        scene = self._scene = Scene(self._settings, self._classes, self.next_track_id, knowledge)
        if knowledge is not None:
            time_s = scene.stream_time(given_s)
            scene.background_s = knowledge.recall(scene.places, frame, look, time_s)
            # What was known of old is used up; of frames of another size it may be out of date.
            self._known = Recollection()

    def _assess(self, entry: Entry) -> Risk:
        """How likely the boxes of a frame are right, and what verdicts would save."""
        return assess(entry, self._risk, self._calibrator.calibration)

    def _signs(self, entry: Entry, published: Detections) -> Signs:
        """What the frame shows beside its boxes."""
        scene = self._scene
        usual = None
        if scene.knowledge is not None and self._settings.misses.prior_loss > 0:
            shares = scene.knowledge.prior.shares(self._interest)
            usual = None if shares is None else Usual(shares)
        covered = entry.tracked.boxes
        if entry.unseen:
            covered = np.concatenate([covered, np.stack([item.box for item in entry.unseen])])
        return scene.misses.see(
            entry.look,
            entry.frame,
            entry.time_s,
            covered,
            published.boxes,
            scene.coasting(entry.tracked, entry.unseen),
            usual,
        )

    def _veiled(self, frame: Frame) -> tuple[npt.NDArray[np.uint8], int]:
        """The picture as it may leave the site, and how many objects were blurred in it."""
        if self._veil is None:
            return frame.image, 0
        return self._veil.over(frame.image, frame.ref.sequence)

    def _keep_picture(self, frame: Frame, entry: Entry) -> None:
        recorder, decision = self._recorder, entry.observation.decision
        asked = decision is not None and bool(decision.regions)
        if recorder is not None and recorder.wants_picture(entry.time_s, asked=asked):
            recorder.picture(frame.ref.sequence, self._veiled(frame)[0])

    def _revised(self, entry: Entry, cause: str, published_s: float) -> Observation | None:
        """What stands for a frame now; ``None`` where that is what stood before."""
        right = self._assess(entry).right
        published, candidates = compose(entry, right, self.names, self._settings.fusion)
        before = entry.observation
        if _equal(published, before.detections):
            return None
        entry.observation = replace(
            before,
            detections=published,
            candidates=candidates,
            revision=before.revision + 1,
            cause=cause,
            published_s=published_s,
        )
        return entry.observation


def _equal(a: Detections, b: Detections) -> bool:
    """Whether two answers say the same."""
    return (
        len(a) == len(b)
        and np.array_equal(a.track_ids, b.track_ids)
        and np.array_equal(a.classes, b.classes)
        and np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
    )
