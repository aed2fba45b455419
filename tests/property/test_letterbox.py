"""What holds for the letterbox at every size."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from secondlook.shared.letterbox import Fit, Letterbox
from secondlook.shared.values.frame import MAX_PIXELS

sides = st.integers(1, 3000)
inputs = st.integers(1, 1280)
fits = st.sampled_from(Fit)


@st.composite
def places(draw: st.DrawFn) -> Letterbox:
    return Letterbox.fit(draw(sides), draw(sides), draw(inputs), draw(inputs), draw(fits))


@st.composite
def boxes_in(draw: st.DrawFn, width: int, height: int) -> np.ndarray:
    share = st.floats(0, 1, width=32)
    x = sorted(draw(share) * width for _ in range(2))
    y = sorted(draw(share) * height for _ in range(2))
    return np.array([[x[0], y[0], x[1], y[1]]], np.float32)


@given(places())
def test_the_image_lies_inside_the_input_and_is_never_empty(place: Letterbox) -> None:
    assert place.inner_width >= 1
    assert place.inner_height >= 1
    assert place.left >= 0
    assert place.top >= 0
    assert place.left + place.inner_width <= place.width
    assert place.top + place.inner_height <= place.height


@given(st.data())
def test_there_and_back_is_the_same_box(data: st.DataObject) -> None:
    place = data.draw(places())
    boxes = data.draw(boxes_in(place.source_width, place.source_height))
    back = place.to_source(place.to_input(boxes))
    np.testing.assert_allclose(back, boxes, atol=0.05)


@given(st.data())
def test_a_box_in_whole_input_pixels_is_right_within_one_of_them(data: st.DataObject) -> None:
    place = data.draw(places())
    boxes = data.draw(boxes_in(place.source_width, place.source_height))
    back = place.to_source(np.round(place.to_input(boxes)))
    pixel = np.array([1 / place.scale_x, 1 / place.scale_y] * 2)
    assert (np.abs(back - boxes) <= pixel * 0.501 + 0.05).all()


@given(
    places(),
    st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=4, max_size=4),
)
def test_whatever_the_network_says_ends_inside_the_image(
    place: Letterbox, numbers: list[float]
) -> None:
    boxes = place.to_source(np.array([numbers], np.float32))
    assert np.isfinite(boxes).all()
    assert (boxes >= 0).all()
    assert (boxes[:, [0, 2]] <= place.source_width).all()
    assert (boxes[:, [1, 3]] <= place.source_height).all()


@given(places(), st.sampled_from([Fit.CENTRED, Fit.TOP_LEFT]))
def test_the_shape_is_kept_and_one_side_is_filled(place: Letterbox, fit: Fit) -> None:
    kept = Letterbox.fit(place.source_width, place.source_height, place.width, place.height, fit)
    assert kept.inner_width == kept.width or kept.inner_height == kept.height
    scale = min(kept.width / kept.source_width, kept.height / kept.source_height)
    assert abs(kept.inner_width - max(1, scale * kept.source_width)) <= 0.5
    assert abs(kept.inner_height - max(1, scale * kept.source_height)) <= 0.5


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), inputs, inputs, fits)
def test_draw_puts_the_image_where_it_says(
    source_width: int, source_height: int, width: int, height: int, fit: Fit
) -> None:
    place = Letterbox.fit(source_width, source_height, width, height, fit)
    assert width * height <= MAX_PIXELS
    out = np.full((height, width, 3), 1, np.uint8)
    place.draw(np.full((source_height, source_width, 3), 255, np.uint8), out, pad=0)
    inside = out[place.rows, place.columns]
    assert (inside == 255).all()
    assert int((out == 255).sum()) == inside.size
    assert int((out == 0).sum()) == out.size - inside.size
