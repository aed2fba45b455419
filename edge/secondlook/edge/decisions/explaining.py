"""Why a frame was or was not sent, in plain words. Pure functions over what is on record."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timezone

import numpy as np

from secondlook.edge.decisions.explanation import CandidateStory, Explanation, WhatIf
from secondlook.edge.decisions.policy import PolicySettings, policy_of
from secondlook.edge.decisions.reading import Story
from secondlook.edge.decisions.records import FrameRecord
from secondlook.edge.gate.policy import RiskGate

FACTORS = (0.25, 0.5, 2.0, 4.0)
"""Other thresholds that are tried, as multiples of the one in force."""


def explain(story: Story) -> Explanation:
    """The story of a frame in words.

    Raises:
        InvalidInput: the settings in the header of its file are not understood.
    """
    frame, policy = story.frame, policy_of(story.header)
    candidates = _candidates(story, policy)
    return Explanation(
        camera=story.header.camera,
        sequence=frame.sequence,
        captured_at=frame.captured_at,
        stream_s=frame.time_s,
        size=(frame.width, frame.height),
        headline=_headline(story),
        reasons=frame.choice.reasons,
        terms=_terms(frame, policy),
        candidates=candidates,
        sent=_sent(story),
        regions=story.sent.regions if story.sent is not None else frame.regions,
        after=_after(story),
        what_ifs=_what_ifs(story, policy),
        policy=policy,
    )


def moment(wall_s: float) -> str:
    """A time for people, UTC."""
    try:
        when = datetime.fromtimestamp(wall_s, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"at {wall_s:g}"
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 100_000} UTC"


def _headline(story: Story) -> str:
    frame, choice = story.frame, story.frame.choice
    if not frame.asked:
        if choice.left:
            unsure = _count(len(choice.left), "unsure candidate")
            return f"not sent: {unsure}, but the budget is spent"
        return "not sent: the edge's answer may stand"
    what = "the whole frame" if choice.whole_frame else _count(len(choice.ask), "candidate")
    if choice.whole_frame and choice.purpose.value == "audit":
        what = "the whole frame, as an audit"
    if story.left_the_site:
        return f"sent: {what}"
    ways = {way.way: way.why for way in story.ways}
    if "held" in ways:
        return f"not sent: {what} should have gone, but {ways['held'] or 'nothing could leave'}"
    if "disk" in ways:
        return f"kept on disk: {what} goes when the cloud can be reached"
    if story.sent is None:
        return f"not sent: {what} should have gone, but nothing was packed"
    return f"not sent: {what} was packed, but {ways.get('lost') or 'did not leave'}"


def _candidates(story: Story, policy: PolicySettings) -> tuple[CandidateStory, ...]:
    frame = story.frame
    evidence, choice = frame.evidence, frame.choice
    why = dict(zip(choice.ask, choice.box_reasons, strict=False))
    out = []
    for index in np.argsort(-np.nan_to_num(evidence.loss), kind="stable").tolist():
        fate, words = _fate(frame, index, policy)
        left, top, right, bottom = (float(value) for value in evidence.boxes[index])
        out.append(
            CandidateStory(
                index,
                evidence.names[index],
                int(evidence.track_ids[index]),
                (left, top, right, bottom),
                float(evidence.scores[index]),
                float(evidence.right[index]),
                float(evidence.loss[index]),
                float(frame.candidate_bytes[index]),
                fate,
                why.get(index, words),
                _effect(story, int(evidence.track_ids[index])),
            )
        )
    return tuple(out)


def _fate(frame: FrameRecord, index: int, policy: PolicySettings) -> tuple[str, str]:
    evidence, choice, gate = frame.evidence, frame.choice, policy.gate
    loss, age_s = float(evidence.loss[index]), float(evidence.verdict_age_s[index])
    if index in choice.ask:
        return "asked", ""
    if choice.whole_frame:
        return "asked", "it is in the whole frame"
    if index in choice.left:
        return "left out", "unsure, but the budget did not suffice"
    if evidence.in_flight[index]:
        from_loss = gate.threshold * gate.waiting_factor
        return "waits", f"a question about it is under way; again from {from_loss:.3g} on"
    if not loss > 0:
        known = math.isfinite(age_s) and not age_s
        return ("known", "just judged") if known else ("of no interest", "a verdict saves nothing")
    threshold = gate.threshold
    if math.isfinite(age_s):
        if age_s < gate.again_s:
            return "known", f"judged {age_s:.2f} s ago, not again before {gate.again_s:g} s"
        threshold *= gate.again_factor
        words = f"a verdict saves {loss:.3f}, below {threshold:.3g}; the last is {age_s:.1f} s old"
        return "known", words
    price = frame.terms.allowance.byte_price * float(frame.candidate_bytes[index])
    if loss >= threshold and loss < price:
        return "left out", f"a verdict saves {loss:.3f}, its bytes cost {price:.3f}"
    if loss >= threshold:
        return "left out", "unsure, but an inference costs more than all of them save"
    return "confident", f"a verdict saves {loss:.3f}, below {threshold:g}"


def _effect(story: Story, track: int) -> str:
    verdict = story.verdict
    if verdict is None or track < 0:
        return ""
    if track in verdict.confirmed:
        return "confirmed"
    if track in verdict.refuted:
        return "refuted: nothing is there"
    return next((f"it is a {name}" for one, name in verdict.changed if one == track), "")


def _terms(frame: FrameRecord, policy: PolicySettings) -> tuple[str, ...]:
    terms, allowance, gate = frame.terms, frame.terms.allowance, policy.gate
    again, beside = gate.threshold * gate.again_factor, gate.threshold * gate.ride_share
    said = [f"threshold {gate.threshold:g} (again {again:g}, beside others {beside:g})"]
    if terms.audit_rate > 0:
        side = "below" if frame.choice.coin < terms.audit_rate else "not below"
        said.append(f"coin {frame.choice.coin:.4f}, {side} the audit rate {terms.audit_rate:g}")
    if math.isfinite(terms.certified_loss):
        said.append(f"the certificate demands every loss from {terms.certified_loss:.3g} on")
    if allowance.byte_price or allowance.inference_price:
        said.append(
            f"a KB must bring {1000 * allowance.byte_price:.3g}, "
            f"an inference {allowance.inference_price:.3g}"
        )
    if math.isfinite(allowance.bytes_now):
        said.append(f"{allowance.bytes_now / 1000:.1f} KB could be sent")
    if math.isfinite(allowance.inferences_now):
        said.append(f"{allowance.inferences_now:.1f} inferences could be asked for")
    if allowance.late:
        said.append("a verdict was expected too late for the answer")
    if allowance.slo is not None:
        said.append(str(allowance.slo))
    if frame.evidence.background_age_s is not None:
        said.append(f"the cloud's whole frame is {frame.evidence.background_age_s:.0f} s old")
    return (*said, *allowance.reasons)


def _sent(story: Story) -> tuple[str, ...]:
    sent, frame = story.sent, story.frame
    if sent is None:
        return ()
    area = sum(width * height for _, _, width, height in sent.regions)
    share = area / max(1, frame.width * frame.height)
    quality = f" {sent.quality}" if sent.quality else ""
    what = f"{_count(len(sent.regions), 'region')}, {share:.1%} of the frame, as {sent.carrier}"
    how = f"({sent.encoding}{quality}): {sent.size:,} bytes, request {sent.request_id}"
    said = [f"{what} {how}"]
    wire = max((way.wire_bytes for way in story.ways), default=0)
    if wire:
        said.append(f"about {wire:,} bytes on the wire, framing included")
    if sent.blurred:
        said.append(f"{_count(sent.blurred, 'object')} blurred first")
    if story.again is not None:
        again = story.again
        said.append(
            f"the whole frame once more, as {again.carrier} ({again.encoding} {again.quality}): "
            f"{again.size:,} bytes; an audit that is looked at twice"
        )
    return tuple(said)


def _after(story: Story) -> tuple[str, ...]:
    verdict = story.verdict
    lost = [way.why or "the question was lost" for way in story.ways if way.way == "lost"]
    said = [f"no verdict came: {why}" for why in lost]
    if verdict is None:
        if story.left_the_site and not said:
            said.append("no verdict is on record (yet)")
        return tuple(said)
    if verdict.late:
        said.append("the verdict came when the frame was no longer kept: it changed nothing")
        return tuple(said)
    took = f" after {verdict.at_s - story.sent.at_s:.2f} s" if story.sent is not None else ""
    said.append(
        f"the verdict of {verdict.model}{took}: {len(verdict.confirmed)} confirmed, "
        f"{len(verdict.refuted)} refuted, {len(verdict.changed)} of another class, "
        f"{len(verdict.new)} new"
    )
    said += [f"new: {name} at {_place(box)}" for name, box in verdict.new]
    said.append(
        f"{_count(verdict.revised, 'answer')} revised"
        + (f", this one to revision {verdict.revision}" if verdict.revision else "")
    )
    if verdict.missed is not None:
        count = _count(len(verdict.missed), "object")
        said.append(f"the audit found {count} that the answer had missed")
        for one in verdict.missed:
            by = f"a candidate of loss {one.loss:.3f} would have shown it"
            said.append(
                f"missed: {one.name} at {_place(one.box)}; "
                + (by if one.candidate >= 0 else "no candidate was near")
            )
    return tuple(said)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _place(box: tuple[int, int, int, int]) -> str:
    left, top, right, bottom = box
    return f"{left},{top}, {right - left}x{bottom - top} px"


def _what_ifs(story: Story, policy: PolicySettings) -> tuple[WhatIf, ...]:
    """The very gate, on the same evidence, without the coin."""
    frame = story.frame
    terms = replace(frame.terms, audit_rate=0.0)
    said = frame.estimate(frame.choice)
    # Regions that overlap are sent once: what was really packed says how much that saves.
    scale = story.sent.size / said if story.sent is not None and said > 0 else 1.0
    out = []
    for factor in sorted((*FACTORS, 1.0)):
        threshold = min(1.0, policy.gate.threshold * factor)
        gate = RiskGate(policy.gate.model_copy(update={"threshold": threshold}))
        choice = gate.choose(frame.evidence, terms)
        size = frame.estimate(choice) * scale
        out.append(WhatIf(threshold, choice.whole_frame, len(choice.ask), size))
    return tuple(out)
