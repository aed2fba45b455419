"""Detectors on ONNX Runtime, the same for both tiers."""

from secondlook.shared.detect.protocol import Detector, Image, ModelInfo

__all__ = ["Detector", "Image", "ModelInfo"]
