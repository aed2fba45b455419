"""ONNX Runtime, imported here and nowhere else in the package, so that it stays silent.

From 1.29 on its official Linux builds report to their maker: they open a database under
``~/.cache`` when imported and send which models run. What leaves a site is the operator's choice
alone, so the switch is thrown before the import; ``ORT_DISABLE_TELEMETRY=0`` takes it back.
Source: ONNX Runtime, docs/Privacy.md.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

__all__ = ["ort", "ort_errors"]
