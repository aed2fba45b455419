"""What holds for boxes of every kind."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from secondlook.shared import geometry


@st.composite
def box_arrays(draw: st.DrawFn, min_size: int = 0, max_size: int = 12) -> np.ndarray:
    count = draw(st.integers(min_size, max_size))
    # Quarters of a pixel: every sum and product is exact in float32.
    corner = hnp.arrays(np.int64, (count, 2), elements=st.integers(0, 400))
    size = hnp.arrays(np.int64, (count, 2), elements=st.integers(1, 200))
    low = draw(corner)
    return (np.concatenate([low, low + draw(size)], axis=1) / 4).astype(np.float32)


@given(box_arrays(), box_arrays())
def test_iou_is_a_symmetric_share(a: np.ndarray, b: np.ndarray) -> None:
    overlap = geometry.iou(a, b)
    assert overlap.shape == (len(a), len(b))
    assert ((overlap >= 0) & (overlap <= 1)).all()
    np.testing.assert_array_equal(overlap, geometry.iou(b, a).T)
    np.testing.assert_array_equal(np.diag(geometry.iou(a, a)), 1)


@given(box_arrays(), box_arrays())
def test_coverage_is_at_least_iou(a: np.ndarray, b: np.ndarray) -> None:
    assert (geometry.coverage(a, b) >= geometry.iou(a, b) - 1e-6).all()


@given(box_arrays(), st.integers(1, 200), st.integers(1, 200))
def test_clip_never_leaves_the_frame_and_repeats_itself(
    boxes: np.ndarray, width: int, height: int
) -> None:
    clipped = geometry.clip(boxes, width, height)
    assert (clipped[:, 2:] <= [width, height]).all()
    assert (clipped[:, 2:] >= clipped[:, :2]).all()
    np.testing.assert_array_equal(geometry.clip(clipped, width, height), clipped)


def _plain_suppression(
    boxes: np.ndarray, scores: np.ndarray, limit: float, classes: np.ndarray | None
) -> list[int]:
    """The textbook loop, to compare with."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        rivals = [j for j in kept if classes is None or classes[i] == classes[j]]
        overlap = geometry.iou(boxes[i : i + 1], boxes[rivals])
        if not (overlap > limit).any():
            kept.append(i)
    return kept


@given(st.data())
def test_suppression_is_the_textbook_loop(data: st.DataObject) -> None:
    boxes = data.draw(box_arrays())
    scores = data.draw(
        hnp.arrays(np.float32, len(boxes), elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))
    )
    classes = data.draw(st.none() | hnp.arrays(np.int32, len(boxes), elements=st.integers(0, 2)))
    # Limits that no quotient of these sizes meets exactly: float32 and float64 then agree.
    limit = data.draw(st.sampled_from([0.3001234, 0.5001234, 0.6501234]))
    kept = geometry.suppress(boxes, scores, limit, classes)
    assert kept.tolist() == _plain_suppression(boxes, scores, limit, classes)
