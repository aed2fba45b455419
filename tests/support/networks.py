"""Tiny ONNX detectors whose answers a test paints into the picture.

`write_bright_spot_model` writes a network that finds uniform, axis-aligned rectangles painted with
`paint`: the colour carries the class and the score, the edges give the box, exact to a pixel of
the network's input. It is real ONNX with a real head, runs in about a millisecond, and needs no
training, so a test decides what the light and the heavy model see::

    light = write_bright_spot_model(tmp_path / "light.onnx", gain=0.5)   # unsure of everything
    heavy = write_bright_spot_model(tmp_path / "heavy.onnx")
    image = blank(320, 240)
    paint(image, (40, 60, 120, 140), "car", score=0.9)
    # load_detector(light) says 0.45, load_detector(heavy) says 0.9

Rectangles should be at least 8 pixels wide and high *in the network's input* (smaller ones may
fall between the sampled points) and must not touch each other. They survive JPEG and H.264.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NAMES = ("person", "car", "bottle")
MARK = 255  # red: only painted rectangles have more than MARK_MIN of it
MARK_MIN = 200
STRIDES = (8, 16, 32)
QUERIES = 50

Box = tuple[float, float, float, float]


def blank(width: int, height: int, grey: int = 60) -> np.ndarray:
    """An empty picture, uint8 (height, width, 3) BGR."""
    return np.full((height, width, 3), grey, np.uint8)


def colour_of(
    name: str | int, score: float = 0.9, names: Sequence[str] = NAMES
) -> tuple[int, int, int]:
    """The BGR colour that a bright spot model reads as this class and score."""
    index = name if isinstance(name, int) else tuple(names).index(name)
    blue = round(255 * index / max(len(names) - 1, 1))
    return blue, round(255 * score), MARK


def paint(
    image: np.ndarray,
    box: Sequence[float],
    name: str | int = 0,
    *,
    score: float = 0.9,
    names: Sequence[str] = NAMES,
) -> None:
    """Paint an object into ``image``: ``box`` is x1 y1 x2 y2 in its pixels."""
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    image[y1:y2, x1:x2] = colour_of(name, score, names)


def write_bright_spot_model(
    path: Path,
    *,
    names: Sequence[str] = NAMES,
    size: tuple[int, int] = (128, 96),
    head: str = "yolov8",
    input_layout: str = "nhwc_bgr_uint8",
    letterbox: str | None = None,
    batch: int | None = None,
    half: bool = False,
    gain: float = 1.0,
    offset: float = 0.0,
    min_side: int = 0,
    answers: Sequence[int] | None = None,
    transposed: bool = False,
    fault: str | None = None,
    version: str | None = "1",
    metadata: bool = True,
    open_size: bool = False,
    work: int = 0,
) -> Path:
    """Write a detector of painted rectangles.

    Args:
        path: where; returned.
        names: class names; must be those the pictures are painted with.
        size: width and height of the input, multiples of 32.
        head: yolox, yolov5, yolov8, end2end, rtdetr, rtdetr_topk or detr_triple.
        input_layout: ``nchw|nhwc`` _ ``bgr|rgb`` _ ``uint8|255|unit``.
        letterbox: topleft, centred or stretch, declared in the metadata.
        batch: fixed batch size; ``None`` for any.
        half: input and float outputs are float16.
        gain, offset: the score given is ``gain * painted + offset``, clipped to 0..1.
        min_side: rectangles narrower or lower than this many input pixels are missed.
        answers: the class index given for each painted one, for a model that confuses classes.
        transposed: yolov8 only, (anchors, 4 + classes).
        fault: ``nan`` always; on a picture with a white pixel: ``nan_on_white``,
            ``shape_on_white``; ``score`` (above 1), ``class`` (outside the list, heads with
            suppression inside only).
        version: declared in the metadata.
        metadata: declare names, head and so on in the file; else shapes must tell.
        open_size: declare height and width of the input as open.
        work: products of 1024 x 1024 matrices that change nothing, for a network that takes time.
    """
    width, height = size
    if width % 32 or height % 32:
        raise ValueError("size must be multiples of 32")
    graph = _Graph(width, height, len(names))
    colours = graph.decode_input(input_layout, half)
    if work:
        colours = graph.toil(colours, work)
    graph.find(colours, gain, offset, min_side, answers, fault)
    outputs = graph.head(head, transposed, fault, half)
    channels_last, rank = input_layout.startswith("nhwc"), batch or "batch"
    sides: list[Any] = ["height", "width"] if open_size else [height, width]
    shape = [rank, *sides, 3] if channels_last else [rank, 3, *sides]
    element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    if input_layout.endswith("uint8"):
        element = TensorProto.UINT8
    inputs = [helper.make_tensor_value_info("images", element, shape)]
    if head == "detr_triple":
        inputs.append(
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, [rank, 2])
        )
    open_rows = fault == "shape_on_white"
    declared = [
        helper.make_tensor_value_info(
            name, kind, [rank, *(("rows", *dims[1:]) if open_rows else dims)]
        )
        for name, kind, dims in outputs
    ]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "bright_spot", inputs, declared, graph.constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    if metadata:
        said = {"names": str(dict(enumerate(names))), "head": head, "input_layout": input_layout}
        said |= {"letterbox": letterbox} if letterbox else {}
        said |= {"version": version} if version else {}
        helper.set_model_props(model, said)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path


class _Graph:
    """Builds the nodes; every method takes and returns names of tensors."""

    def __init__(self, width: int, height: int, classes: int) -> None:
        self.width, self.height, self.classes = width, height, classes
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.white = ""
        # Per stride, tensors (batch, channels, cells): boxes as x1 y1 x2 y2, score, class index.
        self.maps: list[dict[str, str]] = []

    def const(self, value: Any, dtype: Any = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def cut(self, x: str, axis: int, start: int, step: int = 1) -> str:
        whole = np.iinfo(np.int64).max
        ends = [self.const([n], np.int64) for n in (start, whole, axis, step)]
        return self.op("Slice", x, *ends)

    def decode_input(self, layout: str, half: bool) -> str:
        """The picture as float (batch, 3, height, width), BGR, 0 to 255."""
        axes, order, scale = layout.split("_")
        x = "images"
        if axes == "nhwc":
            x = self.op("Transpose", x, perm=[0, 3, 1, 2])
        if half or scale == "uint8":
            x = self.op("Cast", x, to=TensorProto.FLOAT)
        if order == "rgb":
            x = self.op("Gather", x, self.const([2, 1, 0], np.int64), axis=1)
        return self.op("Mul", x, self.const(255.0)) if scale == "unit" else x

    def toil(self, x: str, products: int) -> str:
        """``x``, later."""
        none = self.op("Mul", self.op("ReduceMax", x, keepdims=0), self.const(0.0))
        matrix = self.op("Expand", none, self.const([1024, 1024], np.int64))
        for _ in range(products):
            matrix = self.op("MatMul", matrix, matrix)
        return self.op("Add", x, self.op("ReduceMax", matrix, keepdims=0))

    def find(
        self,
        x: str,
        gain: float,
        offset: float,
        min_side: int,
        answers: Sequence[int] | None,
        fault: str | None,
    ) -> None:
        blue, green, red = (
            self.op("Gather", x, self.const([i], np.int64), axis=1) for i in range(3)
        )
        inside = self.op("Greater", red, self.const(MARK_MIN))
        if fault and fault.endswith("_on_white"):
            least = self.op("ReduceMin", x, axes=[1], keepdims=1)
            brightest = self.op("ReduceMax", least, axes=[1, 2, 3], keepdims=0)
            self.white = self.op(
                "Cast", self.op("Greater", brightest, self.const(250.0)), to=TensorProto.FLOAT
            )
        mask = self.op("Cast", inside, to=TensorProto.FLOAT)
        hole = self.op("Sub", self.const(1.0), mask)
        table = self.const(range(self.classes) if answers is None else answers)
        index = self.op("Round", self.op("Mul", blue, self.const(max(self.classes - 1, 1) / 255)))
        index = self.op("Clip", index, self.const(0.0), self.const(self.classes - 1.0))
        kind = self.op("Gather", table, self.op("Cast", index, to=TensorProto.INT64), axis=0)
        given = self.op("Mul", green, self.const(gain / 255))
        given = self.op("Add", given, self.const(offset))
        score = self.op("Clip", given, self.const(0.0), self.const(1.0))
        score = self.op("Mul", score, mask)
        for stride in STRIDES:
            self.maps.append(self._at_stride(stride, hole, score, kind, min_side))

    def _at_stride(
        self, stride: int, hole: str, score: str, kind: str, min_side: int
    ) -> dict[str, str]:
        half, width, height = stride // 2, self.width, self.height
        rows, columns = self.cut(hole, 2, half, stride), self.cut(hole, 3, half, stride)
        across = np.arange(width, dtype=np.float32).reshape(1, 1, 1, -1)
        down = np.arange(height, dtype=np.float32).reshape(1, 1, -1, 1)

        def nearest_hole(x: str, ramp: np.ndarray, axis: int, ahead: bool) -> str:
            """The largest ramp value at a hole behind (or ahead of) each sampled point."""
            length = width if axis == 3 else height
            x = self.op("Mul", x, self.const(ramp))
            before, after = (0, length - half) if ahead else (length - 1 - half, 0)
            if ahead:
                x = self.cut(x, axis, half)
            flat = axis == 3
            return self.op(
                "MaxPool",
                x,
                kernel_shape=[1, length] if flat else [length, 1],
                strides=[1, stride] if flat else [stride, 1],
                pads=[0, before, 0, after] if flat else [before, 0, after, 0],
            )

        x1 = nearest_hole(rows, across + 1, 3, ahead=False)
        x2 = self.op("Sub", self.const(width), nearest_hole(rows, width - across, 3, ahead=True))
        y1 = nearest_hole(columns, down + 1, 2, ahead=False)
        y2 = self.op("Sub", self.const(height), nearest_hole(columns, height - down, 2, ahead=True))
        score = self.cut(self.cut(score, 2, half, stride), 3, half, stride)
        kind = self.cut(self.cut(kind, 2, half, stride), 3, half, stride)
        for low, high in ((x1, x2), (y1, y2)):
            wide = self.op("Greater", self.op("Sub", high, low), self.const(min_side - 0.5))
            score = self.op("Mul", score, self.op("Cast", wide, to=TensorProto.FLOAT))
        # The first sampled point of a rectangle, for heads that name each object once.
        first = score
        for low, points in ((x1, across[..., half::stride]), (y1, down[:, :, half::stride])):
            new = self.op("Greater", low, self.const(points - stride))
            first = self.op("Mul", first, self.op("Cast", new, to=TensorProto.FLOAT))
        flat = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "score": score, "kind": kind}
        flat["first"] = first
        shape = self.const([0, 1, -1], np.int64)
        cells = {name: self.op("Reshape", x, shape) for name, x in flat.items()}
        ids = self.const(np.arange(self.classes).reshape(1, -1, 1))
        cells["one_hot"] = self.op(
            "Cast", self.op("Equal", cells["kind"], ids), to=TensorProto.FLOAT
        )
        return cells

    def head(
        self, head: str, transposed: bool, fault: str | None, half: bool
    ) -> list[tuple[str, int, list[int]]]:
        """Append the head; name, element type and shape per image of each output."""
        if head in ("yolox", "yolov5"):
            outputs = [("output", self._with_objectness(head))]
        elif head == "yolov8":
            outputs = [("output0", self._yolov8(transposed))]
        else:
            outputs = self._queries(head, fault)
        described = []
        for name, tensor in outputs:
            integer = name == "labels"
            x = tensor if integer else self._faulty(tensor, fault)
            if half and not integer:
                x = self.op("Cast", x, to=TensorProto.FLOAT16)
            self.nodes.append(helper.make_node("Identity", [x], [name]))
            element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            element = TensorProto.INT64 if integer else element
            described.append((name, element, self._shape(head, name, transposed)))
        return described

    def _shape(self, head: str, name: str, transposed: bool) -> list[int]:
        anchors = sum((self.width // s) * (self.height // s) for s in STRIDES)
        queries = min(QUERIES, (self.width // 8) * (self.height // 8))
        boxes_and_classes = [anchors, 4 + self.classes]
        return {
            "yolox": [anchors, 5 + self.classes],
            "yolov5": [3 * anchors, 5 + self.classes],
            "yolov8": boxes_and_classes if transposed else boxes_and_classes[::-1],
            "end2end": [queries, 6],
            "rtdetr": [queries, 4 + self.classes],
            "rtdetr_topk": [queries, 6],
            "detr_triple": [queries, 4] if name == "boxes" else [queries],
        }[head]

    def _faulty(self, x: str, fault: str | None) -> str:
        if fault == "nan":
            return self.op("Mul", x, self.const(np.nan))
        if fault == "score":
            return self.op("Mul", x, self.const(40.0))
        if fault == "nan_on_white":
            dark = self.op("Sub", self.const(1.0), self.white)  # 1, or 0 where white is seen
            poison = self.op("Div", dark, dark)
            return self.op("Mul", x, self.op("Reshape", poison, self.const([-1, 1, 1], np.int64)))
        if fault == "shape_on_white":
            least = self.op("ReduceMax", self.white, axes=[0], keepdims=1)
            start = self.op("Cast", least, to=TensorProto.INT64)  # drops a row where white is seen
            whole = self.const([np.iinfo(np.int64).max], np.int64)
            return self.op("Slice", x, start, whole, self.const([1], np.int64))
        return x

    def _centred(self, cells: dict[str, str]) -> list[str]:
        """Centre x, centre y, width, height, each (batch, 1, cells)."""
        half, one = self.const(0.5), self.const(1.0)
        pairs = ((cells["x1"], cells["x2"]), (cells["y1"], cells["y2"]))
        centres = [self.op("Mul", self.op("Add", low, high), half) for low, high in pairs]
        sides = [self.op("Max", self.op("Sub", high, low), one) for low, high in pairs]
        return centres + sides

    def _yolov8(self, transposed: bool) -> str:
        parts = [
            self.op(
                "Concat",
                *self._centred(cells),
                self.op("Mul", cells["score"], cells["one_hot"]),
                axis=1,
            )
            for cells in self.maps
        ]
        joined = self.op("Concat", *parts, axis=2)
        return self.op("Transpose", joined, perm=[0, 2, 1]) if transposed else joined

    def _with_objectness(self, head: str) -> str:
        parts = []
        for stride, cells in zip(STRIDES, self.maps, strict=True):
            boxes = self._centred(cells)
            if head == "yolox":
                step = self.const(stride)
                rows, columns = np.mgrid[: self.height // stride, : self.width // stride]
                grid = [columns.reshape(1, 1, -1), rows.reshape(1, 1, -1)]
                boxes = [self.op("Div", value, step) for value in boxes]
                boxes = [
                    self.op("Sub", boxes[0], self.const(grid[0])),
                    self.op("Sub", boxes[1], self.const(grid[1])),
                    self.op("Log", boxes[2]),
                    self.op("Log", boxes[3]),
                ]
            parts.append(self.op("Concat", *boxes, cells["score"], cells["one_hot"], axis=1))
        joined = self.op("Concat", *parts * (1 if head == "yolox" else 3), axis=2)
        return self.op("Transpose", joined, perm=[0, 2, 1])

    def _queries(self, head: str, fault: str | None) -> list[tuple[str, str]]:
        cells = self.maps[0]
        count = min(QUERIES, (self.width // 8) * (self.height // 8))
        self.nodes.append(
            helper.make_node(
                "TopK", [cells["first"], self.const([count], np.int64)], ["top", "at"], axis=2
            )
        )
        best = {
            name: self.op("GatherElements", cells[name], "at", axis=2)
            for name in ("x1", "y1", "x2", "y2", "kind")
        }
        kind = self.op("Add", best["kind"], self.const(self.classes if fault == "class" else 0))
        corners = [best[name] for name in ("x1", "y1", "x2", "y2")]
        if head == "end2end":
            rows = self.op("Concat", *corners, "top", kind, axis=1)
            return [("output0", self.op("Transpose", rows, perm=[0, 2, 1]))]
        if head.startswith("rtdetr"):
            ids = self.const(np.arange(self.classes).reshape(1, -1, 1))
            one_hot = self.op("Cast", self.op("Equal", kind, ids), to=TensorProto.FLOAT)
            size = self.const(np.reshape([self.width, self.height] * 2, (1, 4, 1)))
            shares = self.op("Div", self.op("Concat", *self._centred(best), axis=1), size)
            if head == "rtdetr_topk":
                rows = self.op("Concat", shares, "top", kind, axis=1)
                return [("output0", self.op("Transpose", rows, perm=[0, 2, 1]))]
            rows = self.op("Concat", shares, self.op("Mul", "top", one_hot), axis=1)
            return [("output0", self.op("Transpose", rows, perm=[0, 2, 1]))]
        sizes = self.op("Cast", "orig_target_sizes", to=TensorProto.FLOAT)
        sizes = self.op("Concat", sizes, sizes, axis=1)
        scale = self.op("Div", sizes, self.const([self.width, self.height] * 2))
        scale = self.op("Unsqueeze", scale, self.const([1], np.int64))
        boxes = self.op("Transpose", self.op("Concat", *corners, axis=1), perm=[0, 2, 1])
        squeeze = self.const([1], np.int64)
        labels = self.op("Cast", self.op("Squeeze", kind, squeeze), to=TensorProto.INT64)
        return [
            ("labels", labels),
            ("boxes", self.op("Mul", boxes, scale)),
            ("scores", self.op("Squeeze", "top", squeeze)),
        ]
