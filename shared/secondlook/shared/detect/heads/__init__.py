"""How the outputs of each kind of network become boxes.

| name | networks | output per image |
|---|---|---|
| ``yolox`` | YOLOX as exported by default | (anchors, 5 + classes), grid offsets |
| ``yolov5`` | YOLOv5, YOLOv7, YOLOX decoded in the graph | (anchors, 5 + classes), pixels |
| ``yolov8`` | YOLOv8, YOLO11, and the demo models | (4 + classes, anchors) or its transpose |
| ``end2end`` | YOLOv10, YOLO26, exports with suppression inside | (n, 6): xyxy, score, class |
| ``rtdetr`` | RT-DETR of ultralytics | (n, 4 + classes), shares of the input |
| ``detr_triple`` | RT-DETR, RT-DETRv2, D-FINE | labels (n,), boxes (n, 4), scores (n,) |
"""

from secondlook.shared.detect.heads.base import MAX_CANDIDATES, Candidates, Head
from secondlook.shared.detect.heads.end_to_end import DetrTripleHead, EndToEndHead, RtdetrHead
from secondlook.shared.detect.heads.yolov8 import Yolov8Head
from secondlook.shared.detect.heads.yolox import DecodedHead, YoloxHead, cells, grid

HEAD_NAMES = ("yolox", "yolov5", "yolov8", "end2end", "rtdetr", "detr_triple")
"""What configuration, metadata and sidecars may call a head."""

__all__ = [
    "HEAD_NAMES",
    "MAX_CANDIDATES",
    "Candidates",
    "DecodedHead",
    "DetrTripleHead",
    "EndToEndHead",
    "Head",
    "RtdetrHead",
    "Yolov8Head",
    "YoloxHead",
    "cells",
    "grid",
]
