"""Which frame of a log is meant: a number, a time, or the last one. Blocking."""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, datetime, time, timezone
from pathlib import Path

from secondlook.edge.decisions.explaining import moment
from secondlook.edge.decisions.frame_packing import Head
from secondlook.edge.decisions.reading import Problems, Story, heads, pictures, stories
from secondlook.edge.decisions.records import LogHeader, PictureRecord
from secondlook.shared.errors import InvalidInput, NotFound

Found = tuple[LogHeader, Head]
_SLACK_S = 60.0
LAST, LAST_ASKED = "last", "last-asked"


def find(folder: Path, which: str, problems: Problems) -> Story:
    """A frame of one camera.

    Args:
        folder: of the camera.
        which: a sequence number (of the latest run that has it), ``last``, ``last-asked``, or a
            time: seconds since the Unix epoch with a point (``1700000000.5``), ``HH:MM:SS`` of
            today, or ISO 8601. Times without a zone are local. The nearest frame is meant.
        problems: is told what could not be read.

    Raises:
        NotFound: no such frame; says which ones are near.
        InvalidInput: it is none of these.
    """
    wall_s = None
    if which not in (LAST, LAST_ASKED) and not (which.isascii() and which.isdigit()):
        wall_s = _time(which)
    known = heads(folder, problems)
    if not known:
        raise NotFound(f"no frame is in the log {folder}", remedy="; ".join(problems.said[:3]))
    if wall_s is not None:
        header, head = _nearest(known, wall_s)
    elif which == LAST:
        header, head = known[-1]
    elif which == LAST_ASKED:
        header, head = _last_asked(known, folder)
    else:
        header, head = _numbered(known, int(which))
    session, sequence = header.session, head.sequence
    for story in stories(
        folder,
        Problems(),
        lambda header, head: header.session == session and head.sequence == sequence,
    ):
        return story
    raise NotFound(f"frame {sequence} cannot be read", remedy="; ".join(problems.said[:3]))


def picture_for(folder: Path, story: Story, problems: Problems) -> tuple[PictureRecord, int] | None:
    """The kept picture nearest before a frame, and how many frames earlier it is.

    ``None`` where there is none of the same run within 1000 frames.
    """
    best: PictureRecord | None = None
    wanted = story.frame.sequence
    for picture in pictures(folder, problems, story.header.session):
        near = picture.kind == "thumbnail" and wanted - 1000 <= picture.sequence <= wanted
        if near and (best is None or picture.sequence >= best.sequence):
            best = picture
    return None if best is None else (best, wanted - best.sequence)


def _last_asked(known: Sequence[Found], folder: Path) -> Found:
    for header, head in reversed(known):
        if head.asked:
            return header, head
    raise NotFound(f"no frame in the log {folder} was asked about; {len(known)} were not")


def _numbered(known: Sequence[Found], sequence: int) -> Found:
    for header, head in reversed(known):
        if head.sequence == sequence:
            return header, head
    numbers = sorted({head.sequence for _, head in known})
    if sequence > numbers[-1]:
        why = f"the newest frame is {numbers[-1]}"
    elif sequence < numbers[0]:
        why = f"it was rotated away or never logged: the oldest frame is {numbers[0]}"
    else:
        at = bisect_left(numbers, sequence)
        why = f"the nearest frames are {numbers[at - 1]} and {numbers[at]}"
    raise NotFound(f"frame {sequence} is not in the log; {why}")


def _nearest(known: Sequence[Found], wall_s: float) -> Found:
    times = [head.captured_at for _, head in known]
    first_s, last_s = min(times), max(times)
    if not first_s - _SLACK_S <= wall_s <= last_s + _SLACK_S:
        raise NotFound(
            f"the log has no frame of that time; it goes from {moment(first_s)} to {moment(last_s)}"
        )
    return min(known, key=lambda found: abs(found[1].captured_at - wall_s))


def _time(text: str) -> float:
    with contextlib.suppress(ValueError):
        value = float(text)
        if 0 <= value < 1e11:
            return value
    with contextlib.suppress(ValueError):
        return _of_today(text)
    with contextlib.suppress(ValueError):
        return _iso(text)
    raise InvalidInput(
        f"{text!r} is no frame",
        remedy="give a sequence number, last, last-asked, HH:MM:SS, or a time such as "
        "2026-05-01T12:30:00",
    )


def _of_today(text: str) -> float:
    return datetime.combine(date.today(), time.fromisoformat(text)).astimezone().timestamp()  # noqa: DTZ011 - the reader's day is meant


def _iso(text: str) -> float:
    # Python 3.10 does not read a Z.
    when = datetime.fromisoformat(text.removesuffix("Z"))
    if text.endswith("Z"):
        when = when.replace(tzinfo=timezone.utc)
    return when.astimezone().timestamp()
