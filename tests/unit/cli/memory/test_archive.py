"""The file of an export, read: whole, cut, damaged, forged."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secondlook.cli.memory.archive import MAX_LINE_BYTES, Header, Reader, record_line
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import Record

RECORDS = [
    Record("yard/gate/note/1", {"text": "grüße \u2028"}, 3, 7, 1e9, "w"),
    Record("yard/gate/note/2", {}, 2, 8, 1e9, "w", deleted=True),
    Record("yard/gate/note/3", {"n": 1}, 1, 9, 1e9, "w", expires_at=2e9),
]


def archive(records: list[Record], /, **changed: Any) -> bytes:
    header = Header("f00d", "yard/", 0, 9, len(records), 1e9)
    lines = [header.line(), *(record_line(record) for record in records)]
    if changed:
        lines[0] = json.dumps({**json.loads(lines[0]), **changed}).encode() + b"\n"
    return b"".join(lines)


def buffered(raw: bytes) -> BinaryIO:
    return io.BufferedReader(io.BytesIO(raw))  # type: ignore[arg-type]


def read(raw: bytes) -> list[tuple[str, dict[str, Any] | None, float | None]]:
    reader = Reader(buffered(raw), "file")
    return [(line.id, line.data, line.expires_at) for line in reader.lines()]


EXPECTED = [
    ("yard/gate/note/1", {"text": "grüße \u2028"}, None),
    ("yard/gate/note/2", None, None),
    ("yard/gate/note/3", {"n": 1}, 2e9),
]


def test_what_is_written_is_read_plain_or_gzip() -> None:
    raw = archive(RECORDS)
    assert read(raw) == EXPECTED
    assert read(gzip.compress(raw)) == EXPECTED
    assert Reader(buffered(raw), "file").header == Header("f00d", "yard/", 0, 9, 3, 1e9)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_truncated_file_gives_what_it_holds_and_then_says_so(pack: Any) -> None:
    whole = pack(archive(RECORDS))
    # Without its last line break a plain file still holds everything.
    for size in range(len(whole) - 1):
        found: list[str] = []
        with pytest.raises(InvalidInput) as told:  # noqa: PT012 - what came before counts
            for line in Reader(buffered(whole[:size]), "file").lines():
                found.append(line.id)  # noqa: PERF401 - kept when the reader raises
        assert found == [name for name, *_ in EXPECTED[: len(found)]]
        assert told.value.remedy


def test_a_missing_last_line_break_loses_nothing() -> None:
    assert read(archive(RECORDS)[:-1]) == EXPECTED


def test_bytes_that_were_damaged_are_named() -> None:
    raw = bytearray(gzip.compress(archive(RECORDS)))
    raw[len(raw) // 2] ^= 0xFF
    with pytest.raises(InvalidInput, match=r"file(, line \d+: | cannot be read)"):
        read(bytes(raw))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"", "2 records short"),
        (b"\n", "line 3: is not JSON"),
        (b"{\n", "line 3: is not JSON"),
        (b"\xff\xfe\n", "line 3: is not JSON"),
        (b"[]\n", "line 3: is a JSON list"),
        (b"[" * 100_000 + b"\n", "line 3: is not JSON"),
        (b'{"data": {}}\n', "line 3: id: text expected"),
        (b'{"id": 5, "data": {}}\n', "line 3: id: text expected"),
        (b'{"id": "a/../b", "data": {}}\n', "line 3: record id"),
        (b'{"id": "a\\u0000", "data": {}}\n', "line 3: record id"),
        (b'{"id": "' + b"x" * 513 + b'", "data": {}}\n', "line 3: record id"),
        (b'{"id": "a"}\n', "line 3: data: an object expected"),
        (b'{"id": "a", "data": [1]}\n', "line 3: data: an object expected"),
        (b'{"id": "a", "data": {"x": NaN}}\n', "line 3: data.x is nan"),
        (b'{"id": "a", "data": {}, "expire_at": 5}\n', "line 3: expire_at: no such field"),
        (b'{"id": "a", "data": {}, "expires_at": "soon"}\n', "line 3: expires_at"),
        (b'{"id": "a", "data": {}, "expires_at": 1e999}\n', "line 3: expires_at"),
        (b'{"id": "a", "deleted": 1}\n', "line 3: deleted"),
        (b'{"id": "a", "deleted": true, "data": {"n": 1}}\n', "line 3: data: a deleted record"),
        (b'{"id": "a", "data": {"x": "' + b"x" * 65_536 + b'"}}\n', "line 3: data has"),
        (b"x" * (MAX_LINE_BYTES + 1), "line 3: longer than"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: bytes, told: str) -> None:
    raw = archive(RECORDS[:1], records=3) + line
    reader = Reader(buffered(raw), "file")
    lines = reader.lines()
    assert next(lines).id == "yard/gate/note/1"
    with pytest.raises(InvalidInput, match=told.replace("[", r"\[")):
        next(lines)


def test_more_lines_than_promised_are_refused() -> None:
    with pytest.raises(InvalidInput, match="line 4: the header promised 2 records"):
        read(archive(RECORDS, records=2))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"format": "zip"}, "format is 'zip'"),
        ({"version": 2}, "version is 2; this Secondlook reads 1"),
        ({"id": ""}, "id must be"),
        ({"id": "a/b"}, "id must be"),
        ({"id": "x" * 41}, "id must be"),
        ({"prefix": 3}, "prefix must be"),
        ({"records": -1}, "records is -1"),
        ({"records": True}, "records is True"),
        ({"cursor": 2**63}, "cursor is"),
        ({"exported_at": "now"}, "exported_at"),
    ],
)
def test_a_forged_header_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        Reader(buffered(archive(RECORDS, **changed)), "file")


def test_an_empty_file_and_one_of_another_kind_are_told_apart() -> None:
    with pytest.raises(InvalidInput, match="file is empty"):
        read(b"")
    with pytest.raises(InvalidInput, match="file is empty"):
        read(gzip.compress(b""))
    with pytest.raises(InvalidInput, match="line 1: format is None"):
        read(b'{"camera": 1}\n')
    with pytest.raises(InvalidInput, match="line 1: is not JSON"):
        read(b"SQLite format 3\x00")


def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(archive(RECORDS[:1], records=2) + b"x" * 50_000_000)
    with pytest.raises(InvalidInput, match="line 3: longer than"):
        read(bomb)


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_clear_refusal(junk: bytes) -> None:
    for raw in (junk, b"\x1f\x8b" + junk, archive(RECORDS[:1], records=2) + junk):
        with pytest.raises(InvalidInput):
            read(raw)
