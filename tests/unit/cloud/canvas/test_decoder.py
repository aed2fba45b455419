from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
from support.canvas import scene

from secondlook.cloud.canvas.decoder import CanvasDecoder
from secondlook.edge.carrier import CanvasEncoder, CanvasSettings
from secondlook.edge.carrier.protocol import Carried
from secondlook.edge.regions import Canonical
from secondlook.shared.errors import InvalidInput, StateLost
from secondlook.shared.values import CanvasUpdate, Region
from secondlook.shared.values.canvas import VideoCodec, chained

FRAME = Canonical.of(320, 240, 640)
Codec = Literal["h264", "av1"]
both = pytest.mark.parametrize("codec", ["h264", "av1"])


def updates(count: int, seed: int = 7, codec: Codec = "h264") -> list[tuple[CanvasUpdate, bytes]]:
    encoder = CanvasEncoder(CanvasSettings(codec=codec))
    region = (Region(64, 64, 96, 64),)
    found: list[Carried] = [
        encoder.encode(scene(320, 240, shift=5 * k, seed=seed), region, FRAME, 10**6)
        for k in range(count)
    ]
    return [(one.canvas, one.image) for one in found if one.canvas is not None]


@both
def test_an_update_without_its_key_frame_is_lost(codec: Codec) -> None:
    decoder, (_, second) = CanvasDecoder(), updates(2, codec=codec)
    with pytest.raises(StateLost, match="not known"):
        decoder.decode(*second)


@pytest.mark.parametrize("wrong", [[0, 2], [0, 1, 1], [0, 2, 1], [0, 1, 2, 1]])
@both
def test_updates_out_of_order_are_lost_and_so_is_what_follows(
    wrong: list[int], codec: Codec
) -> None:
    decoder, made = CanvasDecoder(), updates(4, codec=codec)
    for number in wrong[:-1] if wrong != [0, 2, 1] else wrong[:1]:
        decoder.decode(*made[number])
    with pytest.raises(StateLost, match="does not follow"):
        decoder.decode(*made[wrong[-1] if wrong != [0, 2, 1] else 2])
    for later in made[1:]:
        with pytest.raises(StateLost):
            decoder.decode(*later)
    decoder.decode(*made[0])
    decoder.decode(*made[1])


@both
def test_updates_of_another_encoder_are_lost(codec: Codec) -> None:
    decoder, ours, theirs = CanvasDecoder(), updates(2, codec=codec), updates(2, 8, codec)
    decoder.decode(*ours[0])
    with pytest.raises(StateLost):
        decoder.decode(*theirs[1])


@both
def test_a_damaged_unit_is_lost(codec: Codec) -> None:
    made = updates(2, codec=codec)
    for place in range(0, len(made[1][1]), 3):
        decoder = CanvasDecoder()
        decoder.decode(*made[0])
        unit = bytearray(made[1][1])
        unit[place] ^= 0x10
        with pytest.raises(StateLost):
            decoder.decode(made[1][0], bytes(unit))


@both
def test_a_damaged_unit_with_a_right_check_gives_no_picture_of_another_size(codec: Codec) -> None:
    made = updates(2, codec=codec)
    update, unit = made[0]
    for place in range(0, len(unit), 5):
        spoilt = bytearray(unit)
        spoilt[place] ^= 0xFF
        said = replace(update, check=chained(bytes(spoilt), 0))
        try:
            picture = CanvasDecoder().decode(said, bytes(spoilt))
        except InvalidInput:
            continue
        assert picture.shape == (240, 320, 3)


@both
def test_truncated_units_are_refused(codec: Codec) -> None:
    update, unit = updates(1, codec=codec)[0]
    # The last bytes end the arithmetic code, and say nothing of the picture.
    for size in range(0, len(unit) - 3, 5):
        said = replace(update, check=chained(unit[:size], 0))
        with pytest.raises(InvalidInput):
            CanvasDecoder().decode(said, unit[:size])


def test_a_stream_may_go_on_in_another_codec_with_a_key_frame_alone() -> None:
    decoder, old, new = CanvasDecoder(), updates(3), updates(3, codec="av1")
    decoder.decode(*old[0])
    with pytest.raises(StateLost):
        decoder.decode(*new[1])
    for update in (*old[:2], *new[:2], *old[:2]):
        assert decoder.decode(*update).shape == (240, 320, 3)


def test_a_unit_of_another_codec_than_it_says_is_refused() -> None:
    for codec, said in (("h264", VideoCodec.AV1), ("av1", VideoCodec.H264)):
        update, unit = updates(1, codec=codec)[0]  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="unit is not"):
            CanvasDecoder().decode(replace(update, codec=said), unit)
