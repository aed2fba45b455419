"""The gate: asks where a verdict saves more than it costs, and where the certificate demands it.

See ``u(x) >= price * bytes(x)`` or ``s(x) >= tau`` in docs/guides/gate.md. Four rules more:

- What rides along: the heavy model looks at the whole composite anyway, so candidates of half the
  threshold in the same frame are asked about too.
- What was judged already is asked about again at a higher threshold: an answer that a verdict
  brought holds for the frames to come as well, a second one mostly for this frame.
- What a question is under way about is asked about again in later frames as well (from
  ``waiting_factor`` times the threshold on): its verdict will say what stood in an earlier frame,
  and the answers in between are revised by what stands nearest.
- Where the budget does not suffice the largest losses go first, and what is left out is said.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from secondlook.edge.gate.protocol import Choice, FrameEvidence, Terms
from secondlook.edge.pipeline_settings import GateSettings
from secondlook.shared.values import Purpose


class RiskGate:
    """See the module. Pure."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings

    def choose(self, frame: FrameEvidence, terms: Terms) -> Choice:
        """See `Gate.choose`."""
        return self._whole(frame, terms) or self._some(frame, terms)

    def _whole(self, frame: FrameEvidence, terms: Terms) -> Choice | None:
        """What is decided without a look at the candidates; ``None`` where they decide."""
        allowance, thrown = terms.allowance, terms.coin
        # First what goes in any case, whatever the coin says: it is no sample, but known.
        whole = None if terms.way == "edge" else self._background(frame)
        if whole is not None and allowance.affords(terms.whole_bytes):
            purpose, reason = whole
            return Choice(
                whole_frame=True, purpose=purpose, reasons=(reason,), coin=thrown, known=True
            )
        # Never by what it costs: a coin that looked at the frame would measure other frames. What
        # cannot be sent now waits on disk, or is counted as lost.
        if thrown < terms.audit_rate:
            reason = f"audit: coin {thrown:.4f} is below {terms.audit_rate:g}"
            return Choice(whole_frame=True, purpose=Purpose.AUDIT, reasons=(reason,), coin=thrown)
        if terms.certified_loss <= 0 and allowance.affords(terms.whole_bytes):
            # Also what no candidate shows: only so nothing is missed.
            reason = "nothing but sending everything is certified, and that is enforced"
            return Choice(whole_frame=True, reasons=(reason,), coin=thrown)
        if terms.way == "edge":
            return Choice(reasons=("self-test: the edge alone is good enough here",), coin=thrown)
        if terms.way == "full" and allowance.affords(terms.whole_bytes):
            reason = "self-test: whole frames are worth more than the gate here"
            return Choice(whole_frame=True, reasons=(reason,), coin=thrown)
        return None

    def _some(self, frame: FrameEvidence, terms: Terms) -> Choice:
        """Which candidates are asked about."""
        settings, allowance, thrown = self._settings, terms.allowance, terms.coin
        bytes_of, thresholds = terms.bytes_of(frame.boxes), self._threshold(frame)
        slow = frame.in_flight & (frame.questions >= settings.max_waiting)
        wanted, demanded = _wanted(frame, terms, bytes_of, thresholds, slow)
        if not wanted.any():
            return Choice(reasons=(_why_nothing(frame, terms, thresholds),), coin=thrown)
        # What rides along costs bytes, but no inference.
        open_ = np.isfinite(frame.loss)
        along = open_ & ~wanted & (frame.loss >= settings.ride_share * thresholds)
        along &= frame.loss >= allowance.byte_price * bytes_of
        chosen = wanted | (along & (frame.loss > 0))
        order = np.lexsort((np.arange(len(frame)), -frame.loss, ~demanded))
        order = order[chosen[order]]
        kept = order[: settings.max_regions]
        if not allowance.affords(0.0):
            kept = kept[:0]
        else:
            kept = kept[np.cumsum(bytes_of[kept]) <= allowance.bytes_now]
        left = order[~np.isin(order, kept)]
        left = left[wanted[left]]
        if not len(kept):
            return Choice(
                reasons=(f"{len(left)} are unsure; no budget: {_limits(allowance.reasons)}",),
                coin=thrown,
                left=tuple(left.tolist()),
            )
        reasons = [_reason(frame, int(index), demanded) for index in kept]
        refresh = bool(np.isfinite(frame.verdict_age_s[kept]).all())
        said = tuple(dict.fromkeys(reasons))
        if len(left):
            said += (f"{len(left)} more are unsure; {_limits(allowance.reasons)}",)
        return Choice(
            ask=tuple(kept.tolist()),
            box_reasons=tuple(reasons),
            purpose=Purpose.REFRESH if refresh else Purpose.UNSURE,
            reasons=said,
            coin=thrown,
            left=tuple(left.tolist()),
        )

    def _background(self, frame: FrameEvidence) -> tuple[Purpose, str] | None:
        if frame.background_in_flight:
            return None
        if frame.background_age_s is None:
            return Purpose.UNSURE, "the cloud has no whole frame of this camera yet"
        if frame.background_age_s >= self._settings.background_every_s:
            return Purpose.REFRESH, f"the cloud's whole frame is {frame.background_age_s:.0f} s old"
        return None

    def _threshold(self, frame: FrameEvidence) -> npt.NDArray[np.float64]:
        """float64 (n,): from which loss on each candidate is asked about."""
        settings = self._settings
        verified = np.isfinite(frame.verdict_age_s)
        out = np.where(verified, settings.threshold * settings.again_factor, settings.threshold)
        out[verified & (frame.verdict_age_s < settings.again_s)] = np.inf
        out[frame.in_flight] *= settings.waiting_factor
        # A suspicion is no object: one question tells what is there. And a cloud that is slow is
        # not helped by more questions.
        slow = frame.questions >= settings.max_waiting
        out[frame.in_flight & ((frame.track_ids < 0) | slow)] = np.inf
        return out


def _wanted(
    frame: FrameEvidence,
    terms: Terms,
    bytes_of: npt.NDArray[np.float64],
    thresholds: npt.NDArray[np.float64],
    slow: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which candidates are to be asked about, and which of them at any price: bool (n,).

    What waits for a verdict about an earlier frame is demanded too, since the promise is about
    each frame; but for what ``slow`` names, bool (n,), where the cloud does not keep up.
    """
    allowance = terms.allowance
    # A NaN compares false: it is never asked about.
    open_ = frame.loss > 0
    demanded = open_ & ~slow & (frame.loss >= terms.certified_loss)
    worth = open_ & (frame.loss >= thresholds)
    worth &= frame.loss >= allowance.byte_price * bytes_of
    # The inference is paid once for all of them.
    if allowance.inference_price and frame.loss[worth].sum() < allowance.inference_price:
        worth[:] = False
    return worth | demanded, demanded


def _reason(frame: FrameEvidence, index: int, demanded: npt.NDArray[np.bool_]) -> str:
    if frame.reasons[index]:
        return frame.reasons[index]
    name, right, loss = frame.names[index], frame.right[index], frame.loss[index]
    age_s = frame.verdict_age_s[index]
    what = f"{name} is right with probability {right:.2f}; a verdict saves {loss:.2f}"
    if np.isfinite(age_s):
        what += f"; the last one is {age_s:.1f} s old"
    return what + ("; the certificate demands it" if demanded[index] else "")


def _why_nothing(frame: FrameEvidence, terms: Terms, thresholds: npt.NDArray[np.float64]) -> str:
    if not len(frame):
        return "nothing seen, nothing to ask"
    waiting = int(frame.in_flight.sum())
    known = int(np.isfinite(frame.verdict_age_s).sum())
    said = f"{len(frame)} candidates: {known} known by verdict, {waiting} asked; "
    losses = np.where(np.isfinite(frame.loss), frame.loss, 0.0)
    unsure = int(np.sum((losses > 0) & (losses >= thresholds)))
    if unsure:
        why = "; ".join(terms.allowance.reasons) or "bytes and inferences are dear"
        return f"{said}{unsure} are unsure, but not worth their price: {why}"
    most = int(losses.argmax())
    if np.isinf(thresholds[most]) and frame.in_flight[most]:
        return f"{said}the largest loss is {losses[most]:.2f}, whose verdict is awaited"
    if np.isinf(thresholds[most]):
        age_s = frame.verdict_age_s[most]
        return f"{said}the largest loss is {losses[most]:.2f}, judged {age_s:.2f} s ago"
    return f"{said}the largest loss is {losses[most]:.2f}, below {thresholds[most]:g}"


def _limits(reasons: tuple[str, ...]) -> str:
    return "; ".join(reasons) or "at most so many regions a frame"
