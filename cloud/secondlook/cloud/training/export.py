"""A trained detector as an ONNX file that takes camera pixels and says what it is."""

from __future__ import annotations

import copy
import math
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from secondlook.cloud.training.network import STRIDES, Detector
from secondlook.shared.sim import CLASS_NAMES

_OPSET = 17
_IR_VERSION = 8  # what ONNX Runtime 1.16 and newer read


class _Deployed(nn.Module):  # type: ignore[misc,unused-ignore]
    """uint8 (n, H, W, 3) BGR in, (n, 4 + classes, a) out: boxes in pixels, scores in 0..1."""

    def __init__(self, network: Detector, shift: float) -> None:
        super().__init__()
        self.network = fold(network)
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        boxes, logits = self.network(images.permute(0, 3, 1, 2).float())
        return torch.cat((boxes, (logits + self.shift).sigmoid()), 1)


def fold(network: Detector) -> Detector:
    """A copy with batch norms and the 1/255 of the pixels folded into the convolutions."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) == 3:
            conv, norm = module[0], module[1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                module[0] = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
                module[1] = nn.Identity()
    stem = network.stem[0]
    assert isinstance(stem, nn.Conv2d)
    with torch.no_grad():
        stem.weight /= 255
    return network


def calibration(threshold: float, wanted: float) -> float:
    """What to add to the logits so that a score of ``threshold`` becomes ``wanted``.

    The order of the boxes stays, and with it every metric; the tiers take boxes from fixed scores
    on, and those should be the scores at which a model does best.
    """
    low, high = 1e-3, 1 - 1e-3
    return _logit(min(max(wanted, low), high)) - _logit(min(max(threshold, low), high))


def _logit(score: float) -> float:
    return math.log(score / (1 - score))


def export(network: Detector, path: Path, shift: float = 0.0) -> None:
    """Write `network` to `path`, with its class names and input layout as metadata.

    Args:
        network: a trained network.
        path: where to; its folder is made.
        shift: added to every class logit, see `calibration`.
    """
    width, height = network.variant.input_size
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        # The newer exporter needs onnxscript, which would double what the extra installs.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        torch.onnx.export(
            _Deployed(network, shift).eval(),
            (torch.zeros(1, height, width, 3, dtype=torch.uint8),),
            str(path),
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    model.ir_version = min(model.ir_version, _IR_VERSION)
    model.producer_name, model.producer_version = "secondlook", "1"
    model.doc_string = f"Secondlook street detector, {network.variant.name}"
    facts = {
        "names": str(dict(enumerate(CLASS_NAMES))),
        "stride": str(max(STRIDES)),
        "head": "yolov8",
        "input_layout": "nhwc_bgr_uint8",
        "letterbox": "topleft",
        "version": "1",
        "license": "Apache-2.0",
        "author": "Secondlook",
        "task": "detect",
    }
    for key, value in facts.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
