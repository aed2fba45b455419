"""Which head a network has, from what is declared, else from the shapes of its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secondlook.shared.detect.class_names import COCO
from secondlook.shared.detect.declaration import Declaration
from secondlook.shared.detect.heads import (
    DecodedHead,
    DetrTripleHead,
    EndToEndHead,
    Head,
    RtdetrHead,
    RtdetrTopkHead,
    Yolov8Head,
    YoloxHead,
    cells,
    grid,
)
from secondlook.shared.detect.heads.yolox import STRIDES
from secondlook.shared.errors import InvalidModel

MAX_QUERIES = 1000
"""Networks that suppress by themselves give at most this many rows (300 is usual)."""

STRIDES_P6 = (8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class OutputShape:
    """One output of the network, for one image.

    Attributes:
        name: what the network calls it.
        shape: without the batch axis; ``None`` where the length is open.
        integer: whether it holds whole numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    integer: bool = False

    def __str__(self) -> str:
        return f"{self.name} (batch, {', '.join('?' if n is None else str(n) for n in self.shape)})"


@dataclass(frozen=True, slots=True)
class Identified:
    """A head, and the class list it speaks of."""

    head: Head
    names: tuple[str, ...]
    assumed_coco: bool = False


def identify(
    where: str,
    outputs: Sequence[OutputShape],
    width: int,
    height: int,
    declared: Declaration,
) -> Identified:
    """Find the head and the class list.

    Args:
        where: the model, for error messages.
        outputs: what the network gives.
        width, height: size of its input, pixels.
        declared: what metadata, sidecar and arguments say.

    Raises:
        InvalidModel: no head fits, several do, the class list is missing or has the wrong length.
    """
    strides = declared.strides or _strides(outputs, width, height)
    candidates = [declared.head] if declared.head else _fitting(outputs, width, height, strides)
    names = declared.names
    counts = {name: _count(name, outputs, names) for name in candidates}
    if names is not None and len(candidates) > 1:
        agreeing = [n for n in candidates if counts[n] in (len(names), None)]
        candidates = agreeing or candidates
    if len(candidates) != 1:
        found = " or ".join(candidates) if candidates else "none that is known"
        raise InvalidModel(
            f"{where}: cannot tell its head from the outputs {_shown(outputs)} at input "
            f"{width}x{height} (fitting: {found})",
            remedy=_remedy(where, "head and names"),
        )
    name = candidates[0]
    count = counts[name]
    assumed_coco = names is None and count == len(COCO)
    if names is None:
        if not assumed_coco:
            raise InvalidModel(
                f"{where}: no class names in its metadata, and head {name!r} with outputs "
                f"{_shown(outputs)} " + (f"has {count} classes" if count else "does not tell them"),
                remedy=_remedy(where, "names"),
            )
        names = COCO
    if count is not None and count != len(names):
        raise InvalidModel(
            f"{where}: the class list has {len(names)} names, the network (head {name!r}, outputs "
            f"{_shown(outputs)}) gives scores for {count} classes",
            remedy=_remedy(where, "names or head"),
        )
    return Identified(
        _build(name, where, outputs, width, height, strides, names), names, assumed_coco
    )


def _fitting(
    outputs: Sequence[OutputShape], width: int, height: int, strides: Sequence[int]
) -> list[str]:
    """Names of the heads that these shapes allow."""
    if len(outputs) == 3:
        return ["detr_triple"] if _triple(outputs) else []
    if len(outputs) != 1 or len(outputs[0].shape) != 2 or outputs[0].integer:
        return []
    first, second = outputs[0].shape
    anchors = cells(width, height, strides)
    found = []
    if first == anchors and second is not None and second > 5:
        found += ["yolox", "yolov8"]
    elif first == 3 * anchors and second is not None and second > 5:
        found.append("yolov5")
    elif second == anchors and first is not None and first > 4:
        found.append("yolov8")
    elif first is None or first <= MAX_QUERIES:
        if second == 6:
            found.append("end2end")
        if second is not None and second > 4 and first is not None:
            found.append("rtdetr")
    if found == ["yolox", "yolov8"] and second == 5 + len(COCO):
        return ["yolox"]  # 80 classes and objectness: nobody has 81 without it
    return found


def _triple(outputs: Sequence[OutputShape]) -> tuple[int, int, int] | None:
    """Which output is labels, which boxes, which scores."""
    labels = [i for i, o in enumerate(outputs) if len(o.shape) == 1 and o.integer]
    boxes = [i for i, o in enumerate(outputs) if len(o.shape) == 2 and o.shape[1] == 4]
    scores = [i for i, o in enumerate(outputs) if len(o.shape) == 1 and not o.integer]
    if len(labels) == len(boxes) == len(scores) == 1:
        return labels[0], boxes[0], scores[0]
    return None


def _strides(outputs: Sequence[OutputShape], width: int, height: int) -> tuple[int, ...]:
    """The usual strides, or those of the larger networks, whichever the outputs count."""
    lengths = {n for output in outputs for n in output.shape}
    larger = cells(width, height, STRIDES_P6)
    return STRIDES_P6 if lengths & {larger, 3 * larger} else STRIDES


def _count(head: str, outputs: Sequence[OutputShape], names: tuple[str, ...] | None) -> int | None:
    """How many classes the outputs have under this head; ``None`` where they do not tell."""
    shape = outputs[0].shape if outputs else ()
    if head in ("end2end", "rtdetr_topk", "detr_triple") or len(shape) != 2:
        return None
    extra = {"yolox": 5, "yolov5": 5, "yolov8": 4, "rtdetr": 4}[head]
    rows = shape[0] if head == "yolov8" and not _anchors_first(shape, names) else shape[1]
    return None if rows is None else rows - extra


def _anchors_first(shape: tuple[int | None, ...], names: tuple[str, ...] | None) -> bool:
    """Whether a YOLOv8 output is (anchors, 4 + classes)."""
    first, second = shape
    if names is not None and 4 + len(names) in shape:
        return first != 4 + len(names)
    # Without a list to go by: there are more anchors than classes.
    return first is not None and second is not None and first > second


def _build(
    name: str,
    where: str,
    outputs: Sequence[OutputShape],
    width: int,
    height: int,
    strides: Sequence[int],
    names: tuple[str, ...],
) -> Head:
    classes = len(names)
    triple = _triple(outputs)
    single = len(outputs) == 1 and len(outputs[0].shape) == 2
    rows_of_six = single and outputs[0].shape[1] in (6, None)
    if single == (name == "detr_triple") or (
        name in ("end2end", "rtdetr_topk") and not rows_of_six
    ):
        raise InvalidModel(
            f"{where}: head {name!r} does not fit the outputs {_shown(outputs)}",
            remedy=_remedy(where, "another head"),
        )
    if name == "yolox":
        anchors, stride_of = grid(width, height, strides)
        rows = outputs[0].shape[0]
        if rows not in (None, len(anchors)):
            raise InvalidModel(
                f"{where}: head 'yolox' with strides {tuple(strides)} has {len(anchors)} anchors "
                f"at {width}x{height}, the network gives {_shown(outputs)}",
                remedy=_remedy(where, "strides or another head"),
            )
        return YoloxHead(anchors, stride_of, classes)
    if name == "yolov5":
        return DecodedHead(classes)
    if name == "yolov8":
        return Yolov8Head(classes, _anchors_first(outputs[0].shape, names))
    if name == "end2end":
        return EndToEndHead(classes)
    if name == "rtdetr":
        return RtdetrHead(classes, width, height)
    if name == "rtdetr_topk":
        return RtdetrTopkHead(classes, width, height)
    if triple is None:
        raise InvalidModel(
            f"{where}: head 'detr_triple' needs labels, boxes and scores, the network gives "
            f"{_shown(outputs)}",
            remedy=_remedy(where, "another head"),
        )
    return DetrTripleHead(classes, *triple)


def _shown(outputs: Sequence[OutputShape]) -> str:
    return ", ".join(str(output) for output in outputs) or "(none)"


def _remedy(where: str, what: str) -> str:
    stem = where.rsplit(".", 1)[0]
    return (
        f"state {what} in a sidecar {stem}.toml: "
        'head = "yolox" | "yolov5" | "yolov8" | "end2end" | "rtdetr" | "rtdetr_topk" | '
        '"detr_triple", '
        'names = ["first", "second"] or "coco"'
    )
