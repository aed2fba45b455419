"""What the light model's overlapping boxes say together about one object. Pure functions.

A detector that is unsure of a class says several boxes at one place, one for each class, or one
class with several borders. Suppression throws that away; here it is kept as evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from secondlook.edge.pipeline_settings import TrackerSettings
from secondlook.shared.geometry import iou, suppress
from secondlook.shared.values import Detections


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The boxes left by class-agnostic suppression, and what those they suppressed had said.

    Attributes:
        detections: the strongest box of each cluster, best first, at most ``max_boxes``.
        class_scores: float32 (n, classes), the best score that the cluster gave each class.
        sizes: int64 (n,), boxes in each cluster, its own included.
    """

    detections: Detections
    class_scores: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def margins(self) -> npt.NDArray[np.float32]:
        """float32 (n,), the best class's score less the second's."""
        # A box alone has said one class.
        margins: npt.NDArray[np.float32] = self.detections.scores.copy()
        (several,) = (self.sizes > 1).nonzero()
        if not len(several):
            return margins
        said = self.class_scores[several]
        if said.shape[1] < 2:
            margins[several] = said.max(axis=1, initial=0)
        else:
            top = np.partition(said, -2, axis=1)[:, -2:]
            margins[several] = top[:, 1] - top[:, 0]
        return margins


def cluster(detections: Detections, settings: TrackerSettings) -> Clusters:
    """Gather a frame's boxes into one cluster for each object; their order is irrelevant.

    The number of clusters is bounded: a model that sees boxes everywhere must not cost a cubic
    assignment.
    """
    boxes = detections.boxes
    order = np.lexsort(
        (detections.classes, boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], -detections.scores)
    )
    ordered = detections.select(order)
    kept = suppress(ordered.boxes, ordered.scores, settings.suppress_iou)[: settings.max_boxes]
    strongest = ordered.select(kept)
    class_scores = np.zeros((len(kept), len(detections.names)), np.float32)
    if len(kept) == len(ordered):
        # Each box is alone, or there is none.
        class_scores[np.arange(len(kept)), strongest.classes] = strongest.scores
        return Clusters(strongest, class_scores, np.ones(len(kept), np.int64))
    overlap = iou(ordered.boxes, strongest.boxes)
    overlap[kept, np.arange(len(kept))] = 2.0  # each box of its own belongs to itself
    owner = overlap.argmax(axis=1)
    member = overlap[np.arange(len(ordered)), owner] > settings.suppress_iou
    owner, said = owner[member], ordered.classes[member]
    # As one row: that is what numpy has a fast loop for.
    at = owner * class_scores.shape[1] + said
    np.maximum.at(class_scores.reshape(-1), at, ordered.scores[member])
    return Clusters(strongest, class_scores, np.bincount(owner, minlength=len(kept)))
