from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.clips import number_in, numbered, numbered_image, write_images

from secondlook.edge.capture.protocol import FrameSource
from secondlook.edge.capture.sources import source_for
from secondlook.shared.errors import InvalidInput, SourceError


def numbers(source: FrameSource) -> list[int]:
    source.open()
    found = []
    while source.grab() is not None:
        found.append(number_in(source.retrieve().image))
    source.close()
    return found


def huge_png(path: Path, width: int = 60_000, height: int = 60_000) -> Path:
    """A valid header, and next to nothing behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff", ".ppm"])
def test_plays_a_folder_in_order(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path, numbered(5), suffix)
    assert numbers(source_for(str(tmp_path))) == [0, 1, 2, 3, 4]


def test_orders_names_by_their_numbers(tmp_path: Path) -> None:
    for name, number in (("shot10.png", 3), ("shot2.png", 2), ("Shot1.png", 0), ("shot1.png", 1)):
        cv2.imwrite(str(tmp_path / name), numbered_image(number))
    (tmp_path / "notes.txt").write_text("not an image")
    assert numbers(source_for(str(tmp_path))) == [0, 1, 2, 3]


def test_plays_a_single_image(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), numbered_image(7))
    assert numbers(source_for(str(tmp_path / "one.png"))) == [7]


def test_grey_and_transparent_images_become_bgr(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 6), 77, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((8, 6, 4), 78, np.uint8))
    cv2.imwrite(str(tmp_path / "c.png"), np.full((8, 6, 3), 79 * 256, np.uint16))
    source = source_for(str(tmp_path))
    source.open()
    for expected in (77, 78, 79):
        assert source.grab() is not None
        image = source.retrieve().image
        assert (image.shape, image.dtype) == ((8, 6, 3), np.uint8)
        assert (image == expected).all()


def test_a_folder_without_images_says_what_it_wants(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match=r"no images in this folder.*\.png"):
        source_for(str(tmp_path)).open()


def test_a_missing_image_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no\.png: No such file"):
        source_for(str(tmp_path / "no.png")).open()


def test_a_huge_image_is_refused_from_its_header(tmp_path: Path) -> None:
    source = source_for(str(huge_png(tmp_path / "bomb.png")))
    source.open()
    with pytest.raises(InvalidInput, match=r"bomb\.png is 60000x60000"):
        source.grab()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG", b"not an image at all", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"\0" * 40],
)
def test_garbage_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    source = source_for(str(tmp_path / "bad.png"))
    source.open()
    with pytest.raises(InvalidInput, match=r"bad\.png"):
        source.grab()


def test_bad_images_in_a_folder_are_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_images(tmp_path, numbered(3))
    huge_png(tmp_path / "0000a.png")
    (tmp_path / "0001a.png").write_bytes(b"garbage")
    whole = (tmp_path / "0002.png").read_bytes()
    (tmp_path / "0001b.png").write_bytes(whole[:20])
    assert numbers(source_for(str(tmp_path))) == [0, 1, 2]
    assert "0000a.png is 60000x60000" in caplog.text
    assert "0001a.png" in caplog.text
    assert "0001b.png" in caplog.text


def test_a_folder_of_bad_images_only_is_an_error(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.jpg").write_bytes(b"garbage")
    source = source_for(str(tmp_path))
    source.open()
    with pytest.raises(SourceError, match=r"none of 3 images can be read.*2\.jpg"):
        source.grab()
