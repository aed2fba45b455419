"""A compact anchor-free detector: a plain convolutional trunk, a light FPN, one head a level.

Plain 3x3 convolutions, because they are what CPUs and small accelerators run best per FLOP. The
trunk keeps a stride-4 level: on a street, most objects are a dozen pixels high.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES: tuple[int, ...] = (4, 8, 16, 32)
CLASS_COUNT = 5


@dataclass(frozen=True)
class Variant:
    """A size of the network.

    Attributes:
        name: `light` or `heavy`.
        input_size: width and height of the input, pixels, multiples of 32.
        crop_size: width and height of the training crops, pixels of the input.
        widths: channels at strides 2, 4, 8, 16 and 32.
        blocks: residual blocks at strides 4, 8, 16 and 32.
        neck: channels of the pyramid at strides 4, 8, 16 and 32.
    """

    name: str
    input_size: tuple[int, int]
    crop_size: tuple[int, int]
    widths: tuple[int, int, int, int, int]
    blocks: tuple[int, int, int, int]
    neck: tuple[int, int, int, int]


VARIANTS: dict[str, Variant] = {
    "light": Variant(
        "light", (320, 192), (320, 192), (12, 24, 48, 64, 64), (1, 1, 1, 1), (24, 32, 32, 32)
    ),
    "heavy": Variant(
        "heavy", (640, 384), (320, 192), (16, 32, 64, 128, 192), (1, 1, 1, 1), (32, 64, 64, 64)
    ),
}


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):  # type: ignore[misc,unused-ignore]  # no torch, no types
    """Two 3x3 convolutions around a shortcut; narrow in between at the finest level."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, inner), _conv(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))  # type: ignore[no-any-return,unused-ignore]


class Detector(nn.Module):  # type: ignore[misc,unused-ignore]
    """The network.

    `forward` takes float (n, 3, H, W) in 0..1, blue green red, and returns boxes (n, 4, a) as
    centre x, centre y, width, height in input pixels, and class logits (n, 5, a).
    """

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        widths, neck = variant.widths, variant.neck
        self.stem = _conv(3, widths[0], 3, 2)
        stages = []
        for level in range(4):
            width = widths[level + 1]
            inner = width // 2 if level == 0 else width
            blocks = [_Block(width, inner) for _ in range(variant.blocks[level])]
            stages.append(nn.Sequential(_conv(widths[level], width, 3, 2), *blocks))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.ModuleList(nn.Conv2d(widths[i + 1], neck[i], 1) for i in range(4))
        self.down = nn.ModuleList(nn.Conv2d(neck[i + 1], neck[i], 1) for i in range(3))
        self.smooth = nn.ModuleList(_conv(neck[i], neck[i]) for i in range(1, 4))
        self.head = nn.ModuleList(_conv(neck[i], neck[i]) for i in range(4))
        self.boxes = nn.ModuleList(nn.Conv2d(neck[i], 4, 1) for i in range(4))
        self.classes = nn.ModuleList(nn.Conv2d(neck[i], CLASS_COUNT, 1) for i in range(4))
        for layer in self.classes:
            assert isinstance(layer, nn.Conv2d)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, -5.0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes and logits of a batch; see the class."""
        features = []
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        above = self.smooth[2](self.lateral[3](features[3]))
        pyramid = [above]
        for level in (2, 1, 0):
            up = functional.interpolate(self.down[level](above), scale_factor=2.0, mode="nearest")
            above = self.lateral[level](features[level]) + up
            if level:
                above = self.smooth[level - 1](above)
            pyramid.insert(0, above)
        boxes, logits = [], []
        for level, feature in enumerate(pyramid):
            feature = self.head[level](feature)
            boxes.append(self._decode(self.boxes[level](feature), STRIDES[level]))
            logits.append(self.classes[level](feature).flatten(2))
        return torch.cat(boxes, 2).float(), torch.cat(logits, 2).float()

    @staticmethod
    def _decode(raw: Tensor, stride: int) -> Tensor:
        """Offsets from the cell's centre and log sizes, in strides, to boxes in pixels."""
        raw = raw.float()
        height, width = raw.shape[2], raw.shape[3]
        centre = cell_centres(width, height, stride, raw.device).reshape(1, 2, height, width)
        middle = raw[:, :2] * stride + centre
        size = raw[:, 2:].clamp(-4.0, 5.0).exp() * (2 * stride)
        return torch.cat((middle, size), 1).flatten(2)


def cell_centres(
    width: int, height: int, stride: int, device: torch.device | None = None
) -> Tensor:
    """Centres (2, height * width) of one level's cells in pixels, x then y."""
    x = (torch.arange(width, device=device) + 0.5) * stride
    y = (torch.arange(height, device=device) + 0.5) * stride
    return torch.stack((x.repeat(height), y.repeat_interleave(width)))


def all_centres(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centres (a, 2) and strides (a,) of every cell for an input of (width, height)."""
    centres, strides = [], []
    for stride in STRIDES:
        width, height = size[0] // stride, size[1] // stride
        centres.append(cell_centres(width, height, stride).T)
        strides.append(torch.full((width * height,), float(stride)))
    return torch.cat(centres), torch.cat(strides)


def parameter_count(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(p.numel() for p in network.parameters())


def gflops(variant: Variant) -> float:
    """Billions of floating-point operations (two a multiply-add) of one input's convolutions."""
    total = 0
    network = Detector(variant).eval()

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        assert isinstance(layer, nn.Conv2d)
        total += 2 * layer.weight.numel() * output.shape[2] * output.shape[3]

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    width, height = variant.input_size
    with torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    return total / 1e9
