"""What holds for regions and mosaics whatever the boxes are."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from secondlook.edge.pipeline_settings import RegionSettings
from secondlook.edge.regions import Canonical, MosaicEncoder, pack, regions_around
from secondlook.shared.geometry import coverage
from secondlook.shared.values import Placement

_sizes = st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), max_size=40)


def _overlap(a: Placement, b: Placement) -> bool:
    return (
        a.x < b.x + b.width
        and b.x < a.x + a.width
        and a.y < b.y + b.height
        and b.y < a.y + a.height
    )


@given(_sizes)
def test_packed_rectangles_lie_inside_and_do_not_overlap(sizes: list[tuple[int, int]]) -> None:
    packing = pack(sizes)
    taken = np.zeros((packing.height, packing.width), np.int8)
    for (x, y), (width, height) in zip(packing.corners, sizes, strict=True):
        assert 0 <= x <= packing.width - width
        assert 0 <= y <= packing.height - height
        taken[y : y + height, x : x + width] += 1
    assert taken.max(initial=0) <= 1


@st.composite
def _scenes(draw: st.DrawFn) -> tuple[int, int, np.ndarray]:
    width, height = draw(st.integers(16, 900)), draw(st.integers(16, 700))
    boxes = []
    for _ in range(draw(st.integers(1, 8))):
        x, y = draw(st.floats(0, width - 1)), draw(st.floats(0, height - 1))
        right = draw(st.floats(x, min(width, x + 60)))
        bottom = draw(st.floats(y, min(height, y + 60)))
        boxes.append((x, y, right, bottom))
    return width, height, np.array(boxes, np.float32)


@given(_scenes())
def test_every_asked_box_is_sent_whole_and_every_region_arrives(
    scene: tuple[int, int, np.ndarray],
) -> None:
    width, height, boxes = scene
    settings = RegionSettings(canonical_width_px=640, encoding="jpeg", quality=100)
    frame = Canonical.of(width, height, settings.canonical_width_px)
    regions = regions_around(boxes, ["why"] * len(boxes), frame, settings)
    places = np.array([region.xyxy for region in regions], np.float32)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    assert (coverage(boxes, places).max(axis=1)[areas > 0] > 0.999).all()
    assert all(r.x + r.width <= width and r.y + r.height <= height for r in regions)

    # Each pixel tells where it comes from: two ramps that JPEG hardly touches.
    ramp_x = np.linspace(0, 255, width).round().astype(np.uint8)
    ramp_y = np.linspace(0, 255, height).round().astype(np.uint8)
    image = np.stack(
        [
            np.broadcast_to(ramp_x, (height, width)),
            np.broadcast_to(ramp_y[:, None], (height, width)),
            np.full((height, width), 128, np.uint8),
        ],
        axis=2,
    )
    mosaic = MosaicEncoder(settings).encode(image, regions, frame, 10_000_000)
    assert tuple(p.region for p in mosaic.placements) == regions
    placed = list(mosaic.placements)
    assert not any(_overlap(a, b) for i, a in enumerate(placed) for b in placed[:i])
    sent = cv2.imdecode(np.frombuffer(mosaic.image, np.uint8), cv2.IMREAD_COLOR)
    for p in placed:
        # The inverse mapping: the middle of the placement shows the middle of the region.
        x, y = p.x + p.width // 2, p.y + p.height // 2
        native_x = p.region.x + (x - p.x + 0.5) * p.region.width / p.width
        native_y = p.region.y + (y - p.y + 0.5) * p.region.height / p.height
        slack = 8 + 255 * 2 / min(width, height)
        assert abs(int(sent[y, x, 0]) - 255 * native_x / width) < slack
        assert abs(int(sent[y, x, 1]) - 255 * native_y / height) < slack
