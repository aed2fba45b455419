"""How the outputs of each kind of network become boxes.

| name | networks | output per image |
|---|---|---|
| ``yolox`` | YOLOX as exported by default | (anchors, 5 + classes), grid offsets |
| ``yolov5`` | YOLOv5, YOLOv7, YOLOX decoded in the graph | (anchors, 5 + classes), pixels |
| ``yolov8`` | YOLOv8, YOLO11, and the demo models | (4 + classes, anchors) or its transpose |
| ``end2end`` | YOLOv10, YOLO26, exports with suppression inside | (n, 6): xyxy, score, class |
| ``rtdetr`` | RT-DETR of older ultralytics | (n, 4 + classes), shares of the input |
| ``rtdetr_topk`` | RT-DETR of ultralytics | (n, 6): cx, cy, w, h as shares, score, class |
| ``detr_triple`` | RT-DETR, RT-DETRv2, D-FINE | labels (n,), boxes (n, 4), scores (n,) |
"""

from typing import Literal, get_args

from secondlook.shared.detect.heads.base import MAX_CANDIDATES, Candidates, Head
from secondlook.shared.detect.heads.end_to_end import (
    DetrTripleHead,
    EndToEndHead,
    RtdetrHead,
    RtdetrTopkHead,
)
from secondlook.shared.detect.heads.yolov8 import Yolov8Head
from secondlook.shared.detect.heads.yolox import DecodedHead, YoloxHead, cells, grid

HeadName = Literal["yolox", "yolov5", "yolov8", "end2end", "rtdetr", "rtdetr_topk", "detr_triple"]
HEAD_NAMES: tuple[HeadName, ...] = get_args(HeadName)
"""What configuration, metadata and sidecars may call a head."""

__all__ = [
    "HEAD_NAMES",
    "MAX_CANDIDATES",
    "Candidates",
    "DecodedHead",
    "DetrTripleHead",
    "EndToEndHead",
    "Head",
    "HeadName",
    "RtdetrHead",
    "RtdetrTopkHead",
    "Yolov8Head",
    "YoloxHead",
    "cells",
    "grid",
]
