from __future__ import annotations

import pytest

from secondlook.edge.carrier import encoders
from secondlook.edge.carrier.av1 import Av1Encoder, crf_of
from secondlook.edge.carrier.encoders import new_encoder
from secondlook.edge.carrier.x264 import X264Encoder
from secondlook.edge.pipeline_settings import CanvasSettings
from secondlook.shared.values.canvas import VideoCodec


def test_large_canvases_are_av1_and_small_ones_h264() -> None:
    found = [new_encoder(*size, CanvasSettings())[0] for size in ((640, 360), (320, 240))]
    assert found == [VideoCodec.AV1, VideoCodec.H264]


def test_the_settings_name_the_codec_whatever_the_size() -> None:
    kind, encoder = new_encoder(64, 48, CanvasSettings(codec="av1"))
    assert (kind, type(encoder)) == (VideoCodec.AV1, Av1Encoder)
    kind, encoder = new_encoder(640, 360, CanvasSettings(codec="h264"))
    assert (kind, type(encoder)) == (VideoCodec.H264, X264Encoder)
    # No AV1 encoder takes pictures as small as that.
    assert new_encoder(14, 64, CanvasSettings(codec="av1"))[0] is VideoCodec.H264


def test_what_is_missing_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "has_av1", lambda: False)
    assert new_encoder(640, 360, CanvasSettings())[0] is VideoCodec.H264
    monkeypatch.setattr(encoders, "has_av1", lambda: True)
    monkeypatch.setattr(encoders, "has_x264", lambda: False)
    assert new_encoder(320, 240, CanvasSettings())[0] is VideoCodec.AV1


def test_quality_follows_one_scale() -> None:
    assert crf_of(26) == 30
    assert [crf_of(q) for q in range(10, 46)] == sorted(crf_of(q) for q in range(10, 46))
    assert 1 <= crf_of(-4) < crf_of(45) <= 63


def test_a_ladder_of_finer_pictures_would_cost_a_still_canvas_dearly() -> None:
    import numpy as np

    planes = np.random.default_rng(1).integers(0, 255, (360 * 3 // 2, 640), np.uint8)
    encoder = Av1Encoder(640, 360, CanvasSettings(effort="quick"))
    sizes = [len(encoder.encode(planes)) for _ in range(12)]
    assert max(sizes[1:]) < sizes[0] / 20
    assert max(sizes[2:]) < 1000
