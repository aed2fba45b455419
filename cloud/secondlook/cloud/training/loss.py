"""Task-aligned assignment of cells to objects, and the losses on it.

The cells that matter for an object are those that already classify and locate it best
(score^alpha * IoU^beta), chosen among the ones near it. The class target is that quality itself,
so that one number tells how good a box is and no separate objectness is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from secondlook.cloud.training.network import all_centres

_TOP_K = 9
_ALPHA, _BETA = 0.5, 4.0
_BOX_WEIGHT, _CLASS_WEIGHT = 2.0, 1.0


@dataclass(frozen=True)
class Targets:
    """Ground truth of a batch, padded to g objects an image.

    Attributes:
        boxes: float (n, g, 4), xyxy pixels of the input.
        classes: int64 (n, g).
        valid: bool (n, g), a countable object.
        ignore: bool (n, g), an object that is neither to be found nor to be denied.
    """

    boxes: Tensor
    classes: Tensor
    valid: Tensor
    ignore: Tensor


def detection_loss(
    boxes: Tensor, logits: Tensor, targets: Targets, size: tuple[int, int]
) -> tuple[Tensor, dict[str, float]]:
    """Loss of the network's output `boxes` (n, 4, a) and `logits` (n, c, a).

    Returns:
        The loss, a scalar, and its parts by name.
    """
    boxes, logits = boxes.transpose(1, 2), logits.transpose(1, 2)
    corners = torch.cat(
        (boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2), 2
    )
    with torch.no_grad():
        owner, quality, mask = _assign(corners, logits.sigmoid(), targets, size)
    found = owner >= 0
    image, cell = found.nonzero(as_tuple=True)
    who = owner[image, cell]
    goal = torch.zeros_like(logits)
    goal[image, cell, targets.classes[image, who]] = quality[image, cell]
    probability = logits.sigmoid()
    # Quality focal loss: far-off cells count more, easy background hardly at all.
    weight = (probability.detach() - goal).abs().pow(1.5)
    bce = functional.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    total_quality = quality.sum().clamp(min=1.0)
    class_loss = (bce * weight * mask[..., None]).sum() / total_quality * 2.0
    picked = corners[image, cell]
    wanted = targets.boxes[image, who]
    each = 1 - generalized_iou(picked, wanted)
    box_loss = (each * quality[image, cell]).sum() / total_quality
    loss = _CLASS_WEIGHT * class_loss + _BOX_WEIGHT * box_loss
    return loss, {"class": class_loss.item(), "box": box_loss.item()}


def _assign(
    corners: Tensor, scores: Tensor, targets: Targets, size: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """For each cell its object (-1: none), the quality it should claim, and whether it counts.

    All shapes (n, a). Works on the pairs of object and nearby cell only: few of all pairs.
    """
    centres, strides = all_centres(size)
    count, cells = scores.shape[:2]
    owner = torch.full((count * cells,), -1, dtype=torch.int64)
    quality = torch.zeros(count * cells)
    counts = torch.ones(count, cells, dtype=torch.bool)
    skipped_image, skipped = targets.ignore.nonzero(as_tuple=True)
    if len(skipped):
        inside = _inside(centres, targets.boxes[skipped_image, skipped], 1.0)
        which, cell = inside.nonzero(as_tuple=True)
        counts[skipped_image[which], cell] = False

    image_of, object_of = targets.valid.nonzero(as_tuple=True)
    truth = targets.boxes[image_of, object_of]
    # Something narrower than a cell still needs one: reach at least three quarters of a stride.
    which, cell = _near(centres, strides, truth).nonzero(as_tuple=True)
    if len(which):
        image = image_of[which]
        kind = targets.classes[image, object_of[which]]
        iou = pair_iou(truth[which], corners[image, cell])
        rank = scores[image, cell, kind].pow(_ALPHA) * iou.pow(_BETA)
        # A newborn network overlaps nothing: nearness breaks the ties.
        middle = (truth[which, :2] + truth[which, 2:]) / 2
        steps = (centres[cell] - middle).abs().sum(1) / strides[cell]
        rank = rank + 1e-9 / (1 + steps)
        table = torch.zeros(len(truth), cells)
        table[which, cell] = rank
        least = table.topk(min(_TOP_K, cells), dim=1).values[:, -1]
        chosen = rank >= least[which]
        which, cell, iou, rank, image = (v[chosen] for v in (which, cell, iou, rank, image))
        # A cell wanted by several objects serves the one it covers best.
        flat = image * cells + cell
        top = torch.full((count * cells,), -1.0).scatter_reduce_(0, flat, iou, "amax")
        won = iou >= top[flat]
        which, flat, iou, rank = which[won], flat[won], iou[won], rank[won]
        owner[flat] = object_of[which]
        peak = torch.zeros(len(truth)).scatter_reduce_(0, which, rank, "amax")
        reachable = torch.full((len(truth),), 0.05).scatter_reduce_(0, which, iou, "amax")
        quality[flat] = rank / peak[which].clamp(min=1e-12) * reachable[which]
    owner, quality = owner.reshape(count, cells), quality.reshape(count, cells)
    return owner, quality, counts | (owner >= 0)


def _near(centres: Tensor, strides: Tensor, boxes: Tensor) -> Tensor:
    """Bool (g, a): the cell lies well inside the box, or next to its middle."""
    middle, reach = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * 0.4
    floor = strides * 0.75
    near_x = (centres[:, 0] - middle[:, :1]).abs() < torch.maximum(reach[:, :1], floor)
    near_y = (centres[:, 1] - middle[:, 1:]).abs() < torch.maximum(reach[:, 1:], floor)
    return near_x & near_y


def _inside(centres: Tensor, boxes: Tensor, margin: float) -> Tensor:
    """Bool (g, a): the cell's centre lies in the box, give or take `margin` pixels."""
    x, y = centres[:, 0], centres[:, 1]
    across = (x > boxes[:, :1] - margin) & (x < boxes[:, 2:3] + margin)
    return across & (y > boxes[:, 1:2] - margin) & (y < boxes[:, 3:] + margin)


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (k,) of boxes (k, 4) in pairs, xyxy."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inner = (high - low).clamp(min=0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return inner / (areas - inner).clamp(min=1e-6)


def generalized_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU (k,) of boxes (k, 4) in pairs, xyxy."""
    low, high = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    inner = (high - low).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    outer = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(1)
    union, outer = union.clamp(min=1e-6), outer.clamp(min=1e-6)
    return inner / union - (outer - union) / outer
