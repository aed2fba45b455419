"""The batcher: from many callers at once to few calls of a network, and back."""

from secondlook.cloud.engine.batching.batcher import Batcher
from secondlook.cloud.engine.batching.lanes import (
    IMAGES,
    TENSORS,
    ImageInput,
    Instance,
    Kind,
    TensorInput,
)
from secondlook.cloud.engine.batching.policy import Overflow, Policy

__all__ = [
    "IMAGES",
    "TENSORS",
    "Batcher",
    "ImageInput",
    "Instance",
    "Kind",
    "Overflow",
    "Policy",
    "TensorInput",
]
