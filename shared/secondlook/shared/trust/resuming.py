"""A window that was open when the process stopped: it goes on, or is closed as uncertified. Pure.

A record says how a window stood when it was written. The frames after that belong to no window:
whether they are left out depends on when the process stopped, not on what their audits would have
shown. What a record says is complete where no audit of its frames was awaited: such a window goes
on. Where one was, its outcome is lost, and it may well have been a miss.
"""

from __future__ import annotations

from collections.abc import Mapping

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.kinds.trust import TrustWindow
from secondlook.shared.trust.certificate import Basis
from secondlook.shared.trust.records import basis_of, counts_of
from secondlook.shared.trust.settings import TrustSettings
from secondlook.shared.trust.window import Window, frames_needed


def resumed(
    records: Mapping[str, TrustWindow], settings: TrustSettings, basis: Basis, at_s: float
) -> Window | None:
    """The window that goes on; ``None`` where a new one has to begin.

    Args:
        records: windows of the camera, by their keys.
        settings: of trust.
        basis: gate and model in use.
        at_s: wall clock now, seconds since the Unix epoch.
    """
    # The newest that was written stands for what was going on: the others were over by then.
    key = max(records, key=lambda one: (records[one].at_s, records[one].started_s), default=None)
    if key is None:
        return None
    record = records[key]
    whole = not (record.spoilt or record.lost or record.awaited)
    alike = (
        record.thresholds == settings.thresholds
        and record.audit_rate == settings.audit_rate
        and not basis_of(record).differs(basis)
    )
    fresh = 0 <= at_s - record.at_s <= settings.remember_s
    if record.ended_s is not None or not (record.frames and whole and alike and fresh):
        return None
    try:
        counts = counts_of(record)
        number = int(key.rpartition("-")[2])
    except (InvalidInput, ValueError):
        return None  # a record that was written by hand: nothing is built on it
    rate = settings.audit_rate
    needs = frames_needed(settings, rate)
    return Window(number, basis, needs, rate, record.started_s, counts)


def cut_off(records: Mapping[str, TrustWindow], at_s: float) -> dict[str, TrustWindow]:
    """The windows whose audits were under way when the process stopped, closed as uncertified.

    Args:
        records: windows of the camera, by their keys.
        at_s: wall clock now, seconds since the Unix epoch.
    """
    return {
        key: record.model_copy(
            update={
                "at_s": max(at_s, record.at_s),
                "ended_s": max(record.at_s, record.started_s),
                "awaited": 0,
                "lost": record.lost + record.awaited,
                "spoilt": record.spoilt
                or f"{record.awaited} audits were under way when the edge stopped",
            }
        )
        for key, record in records.items()
        if record.ended_s is None and record.awaited
    }
