"""What the context memory holds about the trust of cameras and sites."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.progress import Progress

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import ContextStore, Record
from secondlook.shared.memory.kinds import SiteMode, TrustWindow, kind_of
from secondlook.shared.memory.rules import MAX_LIMIT
from secondlook.shared.trust import SITE_CAMERA, Certificate, newest_certificate


@dataclass(frozen=True, slots=True)
class Standing:
    """A camera, or a site.

    Attributes:
        name: ``site/camera``, or the site alone.
        windows: all that is remembered, oldest first; at least one.
        certificate: the one that stands; ``None`` without.
    """

    name: str
    windows: tuple[TrustWindow, ...]
    certificate: Certificate | None

    @property
    def newest(self) -> TrustWindow:
        """The window that was written last."""
        return max(self.windows, key=lambda window: (window.at_s, window.started_s))

    @property
    def shown(self) -> TrustWindow:
        """The window whose counts say most: the newest that ended unspoilt, else the newest."""
        whole = [w for w in self.windows if w.ended_s is not None and not (w.spoilt or w.lost)]
        return whole[-1] if whole else self.newest

    @property
    def of_site(self) -> bool:
        """Whether it is about all cameras of a site."""
        return bool(self.newest.cameras)

    def as_document(self) -> dict[str, Any]:
        """For ``--json``."""
        newest = self.newest
        return {
            "name": self.name,
            "of_site": self.of_site,
            "state": newest.state,
            "reasons": list(newest.reasons),
            "tau": newest.tau,
            "alpha": newest.alpha,
            "delta": newest.delta,
            "audit_rate": newest.audit_rate,
            "alarms": newest.alarms,
            "at_s": newest.at_s,
            "certificate": None if self.certificate is None else asdict(self.certificate),
            "windows": [window.document() for window in self.windows],
        }


@dataclass(slots=True)
class Gathered:
    """What was found.

    Attributes:
        standings: cameras and sites by name.
        modes: by camera, the way of working that its self-test has chosen.
        skipped: ids of records that could not be read.
    """

    standings: list[Standing] = field(default_factory=list)
    modes: dict[str, SiteMode] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


async def gather(
    store: ContextStore, prefix: str, now_s: float, progress: Progress | None = None
) -> Gathered:
    """Read the windows whose ids begin with ``prefix``.

    Args:
        store: the memory.
        prefix: such as ``yard/`` or ``yard/gate/``.
        now_s: wall clock now, seconds since the Unix epoch.
        progress: shows how many records were read.

    Raises:
        StoreError, Unavailable: the store failed.
    """
    found: dict[str, dict[str, TrustWindow]] = defaultdict(dict)
    result = Gathered()
    task = progress.add_task("reading", total=None) if progress is not None else None
    cursor, more = 0, True
    while more:
        page = await store.changes(prefix, cursor, MAX_LIMIT)
        for record in page.records:
            if kind_of(record.id) == SiteMode.KIND:
                _take_mode(result, record)
                continue
            if kind_of(record.id) != TrustWindow.KIND:
                continue
            site, camera = record.id.split("/")[:2]
            name = site if camera == SITE_CAMERA else f"{site}/{camera}"
            # What was written while it was read comes again.
            found[name].pop(record.id, None)
            if record.deleted:
                continue
            try:
                found[name][record.id] = TrustWindow.of(record.data)
            except InvalidInput:
                result.skipped.append(record.id)
        cursor, more = page.cursor, page.more
        if progress is not None and task is not None:
            progress.advance(task, len(page.records))
    for name, windows in sorted(found.items()):
        if windows:
            in_order = tuple(sorted(windows.values(), key=lambda w: (w.started_s, w.at_s)))
            certificate = newest_certificate(in_order, name, now_s)
            result.standings.append(Standing(name, in_order, certificate))
    return result


def _take_mode(result: Gathered, record: Record) -> None:
    """The way of working of a camera."""
    name = "/".join(record.id.split("/")[:2])
    result.modes.pop(name, None)
    if record.deleted:
        return
    try:
        result.modes[name] = SiteMode.of(record.data)
    except InvalidInput:
        result.skipped.append(record.id)
