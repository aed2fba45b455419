"""Detectors on ONNX Runtime, the same for both tiers.

`load_detector` makes one from a file; everything else takes any `Detector`.
"""

from secondlook.shared.detect.class_names import COCO
from secondlook.shared.detect.load import load_detector
from secondlook.shared.detect.network_detector import NetworkDetector, StageTimings
from secondlook.shared.detect.protocol import Detector, Image, ModelInfo

__all__ = [
    "COCO",
    "Detector",
    "Image",
    "ModelInfo",
    "NetworkDetector",
    "StageTimings",
    "load_detector",
]
