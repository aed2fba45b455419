"""The files of a log: begun anew by size and age, bounded in all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from support.decisions import header

from secondlook.edge.decisions.blocks import MAGIC, Damage, block, blocks
from secondlook.edge.decisions.files import MAX_FILES, Bounds, Series, sizes
from secondlook.edge.decisions.packing import pack, unpack

DATA = block([os.urandom(900)])
SUFFIX = ".decisions"


def series(folder: Path, **bounds: float) -> Series:
    most = Bounds(
        int(bounds.get("max_bytes", 10_000)),
        int(bounds.get("rotate_bytes", 3000)),
        bounds.get("rotate_s", 60.0),
    )
    return Series(folder, SUFFIX, header(), most)


def names(folder: Path) -> list[str]:
    return [path.name for path in sizes(folder, SUFFIX)]


def test_nothing_is_made_before_something_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "gate"
    series(folder).close()
    assert not folder.exists()


def test_a_new_file_is_begun_by_size_and_each_has_the_header(tmp_path: Path) -> None:
    written = series(tmp_path)
    for _ in range(5):
        written.append(DATA, 0.0)
    written.close()
    assert names(tmp_path) == ["000001.decisions", "000002.decisions", "000003.decisions"]
    for path, size in sizes(tmp_path, SUFFIX).items():
        assert size <= 3000
        content = path.read_bytes()
        assert content.startswith(MAGIC)
        first = next(blocks(content, Damage()))
        assert unpack(first[0], None) == header()


@pytest.mark.parametrize("now_s", [60.0, -1.0], ids=["old", "clock went back"])
def test_a_new_file_is_begun_by_age(tmp_path: Path, now_s: float) -> None:
    written = series(tmp_path)
    written.append(DATA, 0.0)
    written.append(DATA, 59.0)
    assert len(names(tmp_path)) == 1
    written.append(DATA, now_s)
    assert len(names(tmp_path)) == 2


def test_all_files_together_stay_within_their_bound(tmp_path: Path) -> None:
    written = series(tmp_path)
    for number in range(60):
        written.append(DATA, 0.0)
        assert sum(sizes(tmp_path, SUFFIX).values()) == written.size <= 10_000, number
    written.close()
    assert names(tmp_path)[-1] == "000030.decisions"
    assert names(tmp_path)[0] > "000025.decisions"


def test_a_later_process_goes_on_and_counts_what_it_finds(tmp_path: Path) -> None:
    first = series(tmp_path)
    for _ in range(12):
        first.append(DATA, 0.0)
    first.close()
    before = names(tmp_path)
    later = series(tmp_path)
    later.append(DATA, 0.0)
    assert names(tmp_path)[-1] > before[-1]
    assert sum(sizes(tmp_path, SUFFIX).values()) <= 10_000


def test_a_process_that_starts_again_and_again_fills_no_folder(tmp_path: Path) -> None:
    for number in range(MAX_FILES + 5):
        (tmp_path / f"{number + 1:06d}{SUFFIX}").write_bytes(b"")
    written = series(tmp_path)
    written.append(DATA, 0.0)
    written.close()
    assert len(names(tmp_path)) <= MAX_FILES


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "gate"
    written = series(folder)
    written.append(DATA, 0.0)
    written.close()
    (path,) = sizes(folder, SUFFIX)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_was_written_in_part_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = series(tmp_path)
    written.append(DATA, 0.0)
    real = os.write

    def half(handle: int, data: memoryview) -> int:
        if len(data) < len(DATA):
            raise OSError(28, "No space left on device")
        return real(handle, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        written.append(DATA, 0.0)
    monkeypatch.setattr(os, "write", real)
    written.append(DATA, 0.0)
    written.close()
    for path in sizes(tmp_path, SUFFIX):
        damage = Damage()
        assert len(list(blocks(path.read_bytes(), damage))) == 2
        assert damage == Damage()


def test_a_file_whose_header_finds_no_room_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int, __: memoryview) -> int:
        raise OSError(28, "No space left on device")

    written = series(tmp_path)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        written.append(DATA, 0.0)
    assert names(tmp_path) == []
    assert written.size == 0


def test_a_header_packs_small() -> None:
    assert len(block([pack(header())])) < 1500
