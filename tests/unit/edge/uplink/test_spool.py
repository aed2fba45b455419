"""Questions on disk."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from support.edge import frame

from secondlook.edge.uplink.settings import SpoolSettings
from secondlook.edge.uplink.spool import MAX_NOTE_BYTES, Spool, spool_folder
from secondlook.shared.clock import ManualClock
from secondlook.shared.errors import InvalidConfig
from secondlook.shared.values import Escalation, ImageEncoding, Placement, Purpose, Region


def audit(number: int, size: int = 1000, purpose: Purpose = Purpose.AUDIT) -> Escalation:
    at = frame(number).ref
    return Escalation(
        request_id=f"q-{number}",
        camera="gate",
        sequence=number,
        captured_at=at.captured_at,
        frame_width=at.width,
        frame_height=at.height,
        image=bytes(size),
        encoding=ImageEncoding.WEBP,
        placements=(Placement(Region(0, 0, at.width, at.height), 0, 0, at.width, at.height),),
        purpose=purpose,
    )


class Place:
    """A spool over a folder, opened again at will."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder / "deep" / "spool"
        self.clock = ManualClock()
        self._settings = SpoolSettings.model_validate(settings)

    def open(self) -> Spool:
        spool = Spool(self.folder, self._settings, self.clock.wall)
        spool.open()
        return spool

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


def test_questions_come_back_in_order_as_they_went_in(tmp_path: Path) -> None:
    place = Place(tmp_path)
    spool = place.open()
    for number in range(3):
        assert spool.put(audit(number), f"note {number}".encode())
        place.clock.advance(10)
    spool = place.open()
    for number in range(3):
        item = spool.oldest()
        assert item is not None
        assert item == spool.oldest(), "it stays until it is removed"
        assert item.escalation == audit(number)
        assert item.note == f"note {number}".encode()
        assert item.age_s(place.clock.wall()) == 30 - 10 * number
        spool.remove(item)
        spool.remove(item)
    assert spool.oldest() is None
    assert (len(spool), spool.size, spool.counts.taken) == (0, 0, 3)
    assert place.files() == []
    assert spool.put(audit(9))
    assert [path.name for path in place.files()] == ["000000000004.question"], "numbers go on"


def test_nobody_else_can_look(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.open().put(audit(1))
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.files()[0].stat().st_mode) == 0o600


def test_the_oldest_go_where_it_would_be_too_much(tmp_path: Path) -> None:
    spool = Place(tmp_path, max_bytes=4000).open()
    for number in range(5):
        assert spool.put(audit(number))
    assert spool.size <= 4000
    item = spool.oldest()
    assert item is not None
    assert item.escalation.sequence == 2
    assert spool.counts.crowded_out == 2
    assert not spool.put(audit(6, 5000))
    assert spool.counts.refused == 1
    assert len(spool) == 3, "what cannot fit drives nothing out"


def test_what_is_stale_goes_and_is_counted(tmp_path: Path) -> None:
    place = Place(tmp_path, audit_fresh_s=100)
    spool = place.open()
    spool.put(audit(0))
    place.clock.advance(60)
    spool.put(audit(1))
    place.clock.advance(50)
    item = spool.oldest()
    assert item is not None
    assert item.escalation.sequence == 1
    assert spool.counts.stale == 1


def test_what_has_no_freshness_is_not_kept(tmp_path: Path) -> None:
    spool = Place(tmp_path).open()
    assert not spool.put(audit(0, purpose=Purpose.UNSURE))
    assert not spool.put(audit(0), bytes(MAX_NOTE_BYTES + 1))
    assert spool.counts.refused == 2
    assert Place(tmp_path, question_fresh_s=5).open().put(audit(0, purpose=Purpose.UNSURE))


def test_a_clock_that_goes_back_makes_nothing_negative(tmp_path: Path) -> None:
    place = Place(tmp_path)
    spool = place.open()
    spool.put(audit(0))
    item = spool.oldest()
    assert item is not None
    assert item.age_s(item.spooled_at - 1e6) == 0


@pytest.mark.parametrize("harm", ["torn", "flipped", "empty", "longer", "other"])
def test_a_torn_or_changed_file_is_dropped_and_counted(tmp_path: Path, harm: str) -> None:
    place = Place(tmp_path)
    spool = place.open()
    spool.put(audit(0))
    spool.put(audit(1))
    first = place.files()[0]
    data = first.read_bytes()
    first.write_bytes(
        {
            "torn": data[: len(data) // 2],
            "flipped": data[:-1] + bytes([data[-1] ^ 1]),
            "empty": b"",
            "longer": data + b"x",
            "other": b"a diary of somebody else",
        }[harm]
    )
    for opened in (spool, place.open()):
        item = opened.oldest()
        assert item is not None
        assert item.escalation == audit(1)
    assert spool.counts.corrupt == 1
    assert len(place.files()) == 1


def test_what_was_being_written_when_the_process_died_is_cleared_away(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.open().put(audit(0))
    (place.folder / "000000000002.part").write_bytes(b"half of a que")
    (place.folder / "README").write_text("not ours")
    spool = place.open()
    assert (len(spool), spool.counts.corrupt) == (1, 1)
    assert [path.name for path in place.files()] == ["000000000001.question", "README"]


def test_a_disk_that_refuses_costs_the_question_and_no_more(tmp_path: Path) -> None:
    place = Place(tmp_path)
    spool = place.open()
    place.folder.rename(tmp_path / "gone")
    assert not spool.put(audit(0))
    assert spool.counts.failed == 1
    (tmp_path / "gone").rename(place.folder)
    assert spool.put(audit(1))
    place.files()[0].unlink()
    assert spool.oldest() is None, "somebody deleted it"
    assert spool.counts.corrupt == 1


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    spool = Spool(tmp_path / "file", SpoolSettings(), ManualClock().wall)
    with pytest.raises(InvalidConfig, match=r"uplink\.spool\.path"):
        spool.open()


def test_where_it_is(tmp_path: Path) -> None:
    here = SpoolSettings()
    assert spool_folder(replace_path(here, tmp_path), {}) == tmp_path
    assert spool_folder(here, {"STATE_DIRECTORY": "/var/lib/x:/other"}) == Path("/var/lib/x/spool")
    assert spool_folder(here, {"HOME": str(tmp_path)}) == tmp_path / ".local/state/secondlook/spool"
    with pytest.raises(InvalidConfig, match="home directory"):
        spool_folder(here, {})


def replace_path(settings: SpoolSettings, path: Path) -> SpoolSettings:
    return settings.model_copy(update={"path": path})


def test_an_update_of_a_canvas_is_not_kept(tmp_path: Path) -> None:
    class Update:
        """Anything that is not ``None``."""

    question = audit(0)
    object.__setattr__(question, "canvas", Update())
    assert not Place(tmp_path).open().put(question)
