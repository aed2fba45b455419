"""Reading a log, also while it is written. Blocking.

What is torn or was changed is skipped, and told in `Problems`; it never ends the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from secondlook.edge.decisions.blocks import Damage, blocks
from secondlook.edge.decisions.files import DECISIONS_SUFFIX, PICTURES_SUFFIX, sizes
from secondlook.edge.decisions.frame_packing import Head
from secondlook.edge.decisions.packing import head_of, unpack
from secondlook.edge.decisions.records import (
    FrameRecord,
    LogHeader,
    PictureRecord,
    Record,
    SentRecord,
    VerdictRecord,
    WayRecord,
)
from secondlook.shared.errors import InvalidInput, NotFound

MAX_FILE_BYTES = 2 * 1024**3
_MAX_CAMERAS = 10_000
_MAX_TOLD = 20


@dataclass(slots=True)
class Problems:
    """What of a log could not be read.

    Attributes:
        torn: files whose end is missing: the process was killed, or the disk was full.
        corrupt: blocks and records that were changed, or are not understood.
        unknown: records of kinds that this version does not know.
        said: the first of them, in words.
    """

    torn: int = 0
    corrupt: int = 0
    unknown: int = 0
    said: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Remember what happened, within bounds."""
        if len(self.said) < _MAX_TOLD:
            self.said.append(text)


@dataclass(slots=True, eq=False)
class Story:
    """All that the log tells about one frame.

    Attributes:
        header: of the file that holds the frame.
        frame: evidence, terms and choice.
        sent: the question, where one was packed.
        ways: how it went on.
        verdict: what came back; ``None`` where nothing did, or not yet.
        again: the same frame once more, where an audit was looked at twice.
    """

    header: LogHeader
    frame: FrameRecord
    sent: SentRecord | None = None
    ways: list[WayRecord] = field(default_factory=list)
    verdict: VerdictRecord | None = None
    again: SentRecord | None = None

    @property
    def left_the_site(self) -> bool:
        """Whether a question about the frame was really sent."""
        if self.sent is None:
            return False
        # Without a word about it, what was packed was sent.
        return not self.ways or any(way.way == "sent" for way in self.ways)


def cameras(folder: Path) -> dict[str, Path]:
    """The cameras of a log and the folder of each.

    Args:
        folder: of the log, or of one camera of it.

    Raises:
        NotFound: there is no such folder, or no log in it.
    """
    if not folder.is_dir():
        raise NotFound(
            f"there is no folder {folder}",
            remedy="decisions.folder of the edge says where the log is",
        )
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob(f"*{DECISIONS_SUFFIX}")):
        where = path.parent
        if where not in found.values() and len(found) < _MAX_CAMERAS:
            name = where.relative_to(folder).as_posix()
            found[_camera_of(where) if name == "." else name] = where
    if not found:
        raise NotFound(f"there is no decision log in {folder}")
    return found


def camera_folder(folder: Path, camera: str) -> Path:
    """The folder of one camera.

    Raises:
        NotFound: the log does not know it; says which ones it knows.
    """
    known = cameras(folder)
    if camera not in known:
        names = ", ".join(sorted(known)[:20])
        raise NotFound(f"camera {camera!r} is not in the log {folder}; it has: {names}")
    return known[camera]


def records(
    folder: Path,
    problems: Problems,
    suffix: str = DECISIONS_SUFFIX,
    wanted: Callable[[LogHeader, Head], bool] = lambda *_: True,
) -> Iterator[tuple[LogHeader, Record]]:
    """All records of one camera, oldest first, each with the header of its file.

    Args:
        folder: of the camera.
        problems: is told what could not be read.
        suffix: decisions, or pictures.
        wanted: which frames are unpacked; what is told beside them always is.
    """
    for path, size in sizes(folder, suffix).items():
        if size > MAX_FILE_BYTES:
            problems.corrupt += 1
            problems.tell(f"{path.name} is absurdly large: {size} bytes")
            continue
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            # Rotated away by the running daemon.
            continue
        except OSError as error:
            problems.corrupt += 1
            problems.tell(f"{path.name} cannot be read: {error.strerror}")
            continue
        yield from _records_of(path.name, content, problems, wanted)


def first_header(folder: Path) -> LogHeader | None:
    """The header of the oldest record that can be read; ``None`` where nothing can."""
    for header, _ in records(folder, Problems()):
        return header
    return None


def heads(folder: Path, problems: Problems) -> list[tuple[LogHeader, Head]]:
    """What each frame of one camera says first, oldest first."""
    found: list[tuple[LogHeader, Head]] = []

    def note(header: LogHeader, head: Head) -> bool:
        found.append((header, head))
        return False

    for _ in records(folder, problems, wanted=note):
        pass
    return found


def stories(
    folder: Path,
    problems: Problems,
    wanted: Callable[[LogHeader, Head], bool] = lambda *_: True,
) -> Iterator[Story]:
    """The frames of one camera, oldest first, with all that is told about each.

    What is told beside the frames is read first and held in memory: verdicts may come hours later.
    """
    beside: dict[tuple[str, int], list[Record]] = {}
    session_of: dict[str, str] = {}
    for header, record in records(folder, Problems(), wanted=lambda *_: False):
        if isinstance(record, SentRecord):
            session_of[record.request_id] = header.session
        if isinstance(record, (SentRecord, WayRecord, VerdictRecord)):
            # A verdict may come when another pipeline of the camera runs.
            session = session_of.get(record.request_id, header.session)
            beside.setdefault((session, record.sequence), []).append(record)
    for header, record in records(folder, problems, wanted=wanted):
        if isinstance(record, FrameRecord):
            story = Story(header, record)
            for other in beside.get((header.session, record.sequence), ()):
                if isinstance(other, SentRecord):
                    if story.sent is None:
                        story.sent = other
                    else:
                        story.again = other
                elif isinstance(other, WayRecord):
                    if story.again is None or other.request_id != story.again.request_id:
                        story.ways.append(other)
                elif isinstance(other, VerdictRecord):
                    story.verdict = other
            yield story


def pictures(folder: Path, problems: Problems, session: str) -> Iterator[PictureRecord]:
    """The kept pictures of one run of a camera, oldest first."""
    for header, record in records(folder, problems, PICTURES_SUFFIX):
        if isinstance(record, PictureRecord) and header.session == session:
            yield record


def _records_of(
    name: str,
    content: bytes,
    problems: Problems,
    wanted: Callable[[LogHeader, Head], bool],
) -> Iterator[tuple[LogHeader, Record]]:
    damage = Damage()
    header: LogHeader | None = None
    try:
        for block in blocks(content, damage):
            for data in block:
                head = head_of(data)
                if head is not None and header is not None and not wanted(header, head):
                    continue
                try:
                    record = unpack(data, header)
                except InvalidInput as error:
                    if header is None:
                        raise
                    problems.corrupt += 1
                    problems.tell(f"{name}: {error}")
                    continue
                if isinstance(record, LogHeader):
                    header = record
                elif record is None:
                    problems.unknown += 1
                elif header is not None:
                    yield header, record
    except InvalidInput as error:
        problems.corrupt += 1
        problems.tell(f"{name}: {error}")
    if damage.torn:
        problems.torn += 1
        problems.tell(f"{name}: its end is torn; what was before it is read")
    if damage.corrupt:
        problems.corrupt += damage.corrupt
        problems.tell(f"{name}: {damage.corrupt} places are corrupt and were skipped")


def _camera_of(folder: Path) -> str:
    """The name of a camera whose folder was given instead of the log's."""
    header = first_header(folder)
    return folder.name if header is None else header.camera
