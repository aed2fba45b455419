"""From an answered frame to what is asked about it. No I/O; see `secondlook.edge.gate`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from secondlook.edge.auditing import Auditor
from secondlook.edge.control.allowance import Allowance
from secondlook.edge.decisions.recorder import Recorder
from secondlook.edge.decisions.records import logged, logged_bytes
from secondlook.edge.evidence.gathering import gather
from secondlook.edge.fusion import Entry
from secondlook.edge.gate import Choice, FrameEvidence, Gate, Risk, Terms
from secondlook.edge.packing import Packer
from secondlook.edge.pipeline_settings import PipelineSettings
from secondlook.edge.regions import Canonical, regions_around
from secondlook.edge.scene import Scene
from secondlook.edge.selftest.conduct import SelfTest
from secondlook.shared.clock import Clock
from secondlook.shared.values import Decision, Detections, Purpose, Region

_WORTH_A_PRICE = 0.01
"""What asking would take is foreseen for candidates from this loss on, and from any loss on that is
asked about: a log is replayed under lower thresholds too, but not under all of them."""
_LIKELY = 0.3
"""Boxes from this probability on tell how large the objects of a camera are."""


class Decider:
    """Gathers the evidence about a frame, has the gate choose, and tells who keeps account of it.

    Args:
        camera: id of the camera.
        settings: of the pipeline.
        gate: decides.
        interest: class names that are worth a question; ``None``: all.
        clock: stamps audits.
        packer: says what asking would take.
        auditor: throws the coin, and is told of each frame.
        selftest: says which way of working holds; ``None``: the gate decides.
        recorder: takes down what is decided; ``None``: nobody does.
    """

    def __init__(
        self,
        camera: str,
        settings: PipelineSettings,
        gate: Gate,
        interest: frozenset[str] | None,
        clock: Clock,
        packer: Packer,
        auditor: Auditor,
        selftest: SelfTest | None,
        recorder: Recorder | None,
    ) -> None:
        self._camera = camera
        self._settings = settings
        self._gate = gate
        self._interest = interest
        self._clock = clock
        self._packer = packer
        self._auditor = auditor
        self._selftest = selftest
        self._recorder = recorder

    def decide(
        self, entry: Entry, scene: Scene, risk: Risk, published: Detections, allowance: Allowance
    ) -> Decision:
        """What is asked about the frame answered now.

        Args:
            entry: the frame.
            scene: what is known about the camera.
            risk: of its boxes.
            published: its answer.
            allowance: what may be spent.
        """
        evidence = self._evidence(entry, scene, risk)
        canonical = self._packer.canonical(entry.frame.width, entry.frame.height)
        terms = self._terms(entry, evidence, canonical, allowance)
        estimates = terms.bytes_of(evidence.boxes)
        choice = self._gate.choose(evidence, terms)
        if self._selftest is not None:
            self._tested(self._selftest, entry, evidence, terms, choice, canonical)
        self._auditor.answered(
            entry.frame,
            evidence,
            estimates,
            published,
            choice,
            entry.time_s,
            self._clock.monotonic(),
            whole_bytes=terms.whole_bytes,
        )
        regions = self._regions(evidence, terms, choice, canonical, published)
        if self._recorder is not None:
            self._recorder.decided(
                entry.frame, entry.time_s, evidence, terms, estimates, choice, regions, published
            )
        return Decision(regions, choice.purpose, choice.reasons)

    def _evidence(self, entry: Entry, scene: Scene, risk: Risk) -> FrameEvidence:
        """What the gate decides on: what the log keeps, so that a replay decides on the same."""
        settings = self._settings
        return logged(
            gather(
                self._camera,
                entry,
                scene,
                risk,
                self._interest,
                view_gain=settings.misses.view_gain,
                publish_probability=settings.fusion.publish_probability,
            )
        )

    def _terms(
        self, entry: Entry, evidence: FrameEvidence, canonical: Canonical, allowance: Allowance
    ) -> Terms:
        auditor, gate = self._auditor, self._settings.gate
        likely = (evidence.right >= _LIKELY) & (evidence.track_ids >= 0)
        self._packer.see(evidence.boxes[likely], canonical)
        least = min(_WORTH_A_PRICE, gate.ride_share * gate.threshold, auditor.demanded)
        priced = np.flatnonzero((evidence.loss > 0) & (evidence.loss >= least))
        room = allowance.bytes_now
        estimates = logged_bytes(self._packer.bytes_of(evidence.boxes, canonical, priced, room))
        return Terms(
            allowance,
            certified_loss=auditor.demanded,
            audit_rate=auditor.audit_rate,
            bytes_of=lambda _: estimates,
            whole_bytes=self._packer.estimate((canonical.whole(),), canonical),
            coin=auditor.throw(entry.frame.sequence),
            way="gate" if self._selftest is None else self._selftest.way(auditor.demanded),
        )

    def _regions(
        self,
        evidence: FrameEvidence,
        terms: Terms,
        choice: Choice,
        canonical: Canonical,
        published: Detections,
    ) -> tuple[Region, ...]:
        """What is sent for a choice: the whole frame where that takes little more than parts."""
        settings = self._settings.regions
        if choice.whole_frame:
            return (canonical.whole("; ".join(choice.reasons)),)
        if not choice.ask:
            return ()
        boxes, reasons = evidence.boxes[list(choice.ask)], list(choice.box_reasons)
        regions = regions_around(boxes, reasons, canonical, settings, others=published.boxes)
        most = settings.whole_factor * self._packer.estimate(regions, canonical)
        if terms.whole_bytes <= min(most, terms.allowance.bytes_now):
            return (canonical.whole("; ".join(dict.fromkeys(reasons))),)
        return regions

    def _tested(
        self,
        selftest: SelfTest,
        entry: Entry,
        evidence: FrameEvidence,
        terms: Terms,
        choice: Choice,
        canonical: Canonical,
    ) -> None:
        """Tell the self-test of a frame; of an audit, what would have been asked without it."""
        ref, whole_bytes = entry.frame, terms.whole_bytes
        selftest.answered(entry.time_s, ref.captured_at, terms.allowance, whole_bytes=whole_bytes)
        if choice.purpose is not Purpose.AUDIT:
            return
        asked = self._gate.choose(evidence, replace(terms, audit_rate=0.0, way="gate"))
        boxes, reasons = evidence.boxes[list(asked.ask)], list(asked.box_reasons)
        regions = regions_around(boxes, reasons, canonical, self._settings.regions)
        if asked.whole_frame:
            regions = (canonical.whole(),)
        places = np.array([region.xyxy for region in regions], np.float32).reshape(-1, 4)
        selftest.chosen(ref.sequence, places)
