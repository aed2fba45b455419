from __future__ import annotations

import fcntl
import gc
import os

import numpy as np
import pytest

from secondlook.edge.capture.ring import RingReader, RingWriter, slot_size
from secondlook.shared.errors import SourceError


class Pair:
    """Both ends of a ring, in one process."""

    def __init__(self, slots: int = 4, width: int = 8, height: int = 6) -> None:
        self.returned: list[tuple[int, int]] = []
        self.writer = RingWriter(7, slots, slot_size(width, height))
        self.reader = RingReader(
            os.dup(self.writer.descriptor),
            7,
            slots,
            self.writer.slot_bytes,
            lambda generation, slot: self.returned.append((generation, slot)),
        )
        self.writer.close()


def test_the_reader_sees_what_the_writer_wrote_without_a_copy() -> None:
    pair = Pair()
    pixels = pair.writer.view(2, 8, 6)
    pixels[:] = np.arange(8 * 6 * 3, dtype=np.uint8).reshape(6, 8, 3)
    image = pair.reader.lend(2, 8, 6)
    assert image.shape == (6, 8, 3)
    assert np.array_equal(image, pixels)
    pixels[0, 0, 0] = 99
    assert image[0, 0, 0] == 99, "the very same memory"


def test_a_lent_image_cannot_be_written() -> None:
    image = Pair().reader.lend(0, 8, 6)
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        image.flags.writeable = True


def test_a_slot_returns_when_the_last_view_is_gone() -> None:
    pair = Pair()
    image = pair.reader.lend(1, 8, 6)
    crop = image[1:3, 2:4]
    channel = crop[..., 0].T
    assert pair.reader.lent == 1
    del image
    gc.collect()
    assert pair.returned == []
    del crop
    gc.collect()
    assert pair.returned == []
    del channel
    gc.collect()
    assert pair.returned == [(7, 1)]
    assert pair.reader.lent == 0


def test_slots_do_not_overlap() -> None:
    pair = Pair()
    for slot in range(4):
        pair.writer.view(slot, 8, 6)[:] = slot + 1
    images = [pair.reader.lend(slot, 8, 6) for slot in range(4)]
    assert [int(image.min()) for image in images] == [1, 2, 3, 4]
    assert [int(image.max()) for image in images] == [1, 2, 3, 4]


def test_a_smaller_frame_fits_into_a_larger_slot() -> None:
    pair = Pair()
    pair.writer.view(0, 4, 4)[:] = 5
    assert (pair.reader.lend(0, 4, 4) == 5).all()


def test_lent_memory_outlives_both_ends() -> None:
    pair = Pair()
    pair.writer.view(0, 8, 6)[:] = 9
    image = pair.reader.lend(0, 8, 6)
    del pair
    gc.collect()
    assert (image == 9).all()


@pytest.mark.parametrize(
    ("slot", "width", "height"), [(4, 8, 6), (-1, 8, 6), (0, 8000, 6000), (0, 1, 100_000)]
)
def test_refuses_a_slot_that_cannot_be(slot: int, width: int, height: int) -> None:
    with pytest.raises(SourceError, match="slot"):
        Pair().reader.lend(slot, width, height)


def test_refuses_a_slot_that_is_still_lent() -> None:
    pair = Pair()
    image = pair.reader.lend(0, 8, 6)
    with pytest.raises(SourceError, match="twice"):
        pair.reader.lend(0, 8, 6)
    assert image.size


def test_refuses_memory_that_could_be_pulled_away() -> None:
    descriptor = os.memfd_create("unsealed", os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, 4096 * 4)
    with pytest.raises(SourceError, match="wrong size"):
        RingReader(descriptor, 1, 4, 4096, lambda *_: None)


def test_refuses_memory_smaller_than_promised() -> None:
    writer = RingWriter(1, 4, 4096)
    with pytest.raises(SourceError, match="wrong size"):
        RingReader(os.dup(writer.descriptor), 1, 4, 8192, lambda *_: None)
    writer.close()


def test_refuses_what_is_no_memory_at_all() -> None:
    descriptor, other = os.pipe()
    with pytest.raises(SourceError):
        RingReader(descriptor, 1, 4, 4096, lambda *_: None)
    os.close(other)


def test_the_memory_is_sealed() -> None:
    writer = RingWriter(1, 4, 4096)
    with pytest.raises(PermissionError):
        os.ftruncate(writer.descriptor, 100)
    assert fcntl.fcntl(writer.descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK
    writer.close()
    writer.close()


def test_slots_are_whole_pages() -> None:
    assert slot_size(1, 1) == 4096
    assert slot_size(640, 384) >= 640 * 384 * 3
    assert slot_size(640, 384) % 4096 == 0
