import numpy as np
import pytest

from secondlook.shared.errors import InvalidInput
from secondlook.shared.values import Detections, Frame, Region
from secondlook.shared.values.detections import NO_TRACK
from secondlook.shared.values.frame import check_size

NAMES = ("person", "car")


def frame(image: object) -> Frame:
    return Frame.of(image, camera="c", sequence=0, captured_s=0.0, captured_at=0.0)  # type: ignore[arg-type]


def test_a_frame_does_not_copy_its_image() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    made = frame(image)
    assert made.image is image
    assert (made.ref.width, made.ref.height) == (6, 4)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 6), np.uint8),
        np.zeros((4, 6, 4), np.uint8),
        np.zeros((4, 6, 3), np.float32),
        np.zeros((0, 6, 3), np.uint8),
    ],
)
def test_what_is_no_image_is_refused(image: object) -> None:
    with pytest.raises(InvalidInput, match="image"):
        frame(image)


@pytest.mark.parametrize("size", [(0, 1), (1, 0), (-1, 5), (60_000, 60_000), (16_000, 16_000)])
def test_absurd_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput):
        check_size(*size)


def test_a_frame_checks_its_reference() -> None:
    good = frame(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(InvalidInput, match="8x4"):
        Frame(good.ref, np.zeros((4, 8, 3), np.uint8))


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "said"),
    [
        ([[0, 0, 1, 1]], [np.nan], [0], "finite"),
        ([[0, 0, np.inf, 1]], [0.5], [0], "finite"),
        ([[2, 0, 1, 1]], [0.5], [0], "x2 < x1"),
        ([[0, 0, 1, 1]], [1.01], [0], "score"),
        ([[0, 0, 1, 1]], [0.5], [2], "class"),
        ([[0, 0, 1, 1]], [0.5], [-1], "class"),
    ],
)
def test_detections_refuse_nonsense(
    boxes: object, scores: object, classes: object, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        Detections.of(boxes, scores, classes, NAMES)  # type: ignore[arg-type]


def test_detections_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidInput, match="length"):
        Detections(
            np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros(1, np.int32), NAMES
        )


def test_rows_are_selected_and_renamed_by_name() -> None:
    both = Detections.of([[0, 0, 1, 1], [0, 0, 2, 2]], [0.5, 0.6], [0, 1], NAMES, [7, 8])
    cars = both.of_classes(["car"])
    assert cars.class_names() == ["car"]
    assert cars.track_ids.tolist() == [8]
    over = both.renamed(("car", "bus"))
    assert over.class_names() == ["car"]
    assert over.areas().tolist() == [4.0]


def test_the_same_boxes_get_other_classes_and_track_ids() -> None:
    both = Detections.of([[0, 0, 1, 1], [0, 0, 2, 2]], [0.5, 0.6], [0, 1], NAMES)
    other = both.relabelled(np.array([1, 1], np.int32), np.array([4, 5]))
    assert other.class_names() == ["car", "car"]
    assert other.track_ids.tolist() == [4, 5]
    assert other.boxes is both.boxes
    none = np.empty(0, np.int32)
    assert len(both.select(none).relabelled(none, none.astype(np.int64))) == 0
    with pytest.raises(InvalidInput, match="class outside"):
        both.relabelled(np.array([0, len(NAMES)], np.int32), np.array([4, 5]))
    with pytest.raises(InvalidInput, match="2 detections"):
        both.relabelled(none, np.array([4, 5]))


def test_no_boxes_are_detections_too() -> None:
    none = Detections.empty(NAMES)
    assert len(none.of_classes(["car"])) == 0
    assert len(none.renamed(("x",))) == 0
    assert len(Detections.concatenate([], NAMES)) == 0


def test_parts_are_joined_over_one_class_list() -> None:
    one = Detections.of([[0, 0, 1, 1]], [0.5], [0], NAMES)
    joined = Detections.concatenate([one, one], NAMES)
    assert len(joined) == 2
    assert joined.track_ids.tolist() == [NO_TRACK, NO_TRACK]
    with pytest.raises(InvalidInput, match="class lists"):
        Detections.concatenate([one, one.renamed(("person",))], NAMES)


@pytest.mark.parametrize("rectangle", [(-1, 0, 1, 1), (0, 0, 0, 1), (0, 0, 1, -3)])
def test_empty_regions_are_refused(rectangle: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidInput, match="region"):
        Region(*rectangle)
