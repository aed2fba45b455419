"""How a model is to be run: what ``config.pbtxt`` says, or is derived from the model's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from secondlook.cloud.engine.tensors import TensorSpec

MAIN_VARIANT = "fp32"
"""The variant that every other is made from: the model as it came, whatever its numbers are."""


@dataclass(frozen=True, slots=True)
class VersionPolicy:
    """Which of the versions on disk are served. One of the three is set.

    Attributes:
        latest: this many of the newest that can be served.
        specific: these.
        everything: all of them.
    """

    latest: int = 1
    specific: tuple[int, ...] = ()
    everything: bool = False


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """How many copies run at once, and where.

    Attributes:
        count: copies on each device.
        kind: ``auto``, ``cpu`` or ``gpu``.
        gpus: which of them, by index; empty for the first.
        threads: threads of one copy; 0: one per core.
    """

    count: int = 1
    kind: str = "auto"
    gpus: tuple[int, ...] = ()
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests are put together.

    Attributes:
        preferred: sizes at which an idle device waits no longer.
        max_queue_delay_s: longest wait of an idle device for a fuller batch, seconds.
        max_queue: most requests that wait; 0: the service's default.
    """

    preferred: tuple[int, ...] = ()
    max_queue_delay_s: float = 0.0
    max_queue: int = 0


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model.

    Attributes:
        name: its name, which is that of its directory.
        backend: ``onnxruntime``, ``pytorch``, ``ultralytics`` or ``remote``.
        max_batch: most rows in one call; 0: no batch axis.
        inputs: empty where they are derived from the file.
        outputs: likewise.
        filename: of the model within its version's directory; empty: the backend's default.
        versions: which versions are served.
        instances: how many copies run.
        batching: how requests are put together; ``None``: one by one.
        objective_s: the latency that the choice of batch, variant and version holds;
            ``None``: none.
        variants: files of the same release in other precision, by name (``int8`` to
            ``model.int8.onnx``).
        shares: version to its share of the requests that name none; empty: the newest gets all.
        parameters: everything else, as text.
        derived: whether it was derived from the file alone.
    """

    name: str
    backend: str
    max_batch: int = 0
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    filename: str = ""
    versions: VersionPolicy = field(default_factory=VersionPolicy)
    instances: tuple[InstanceGroup, ...] = (InstanceGroup(),)
    batching: Batching | None = None
    objective_s: float | None = None
    variants: Mapping[str, str] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a model, on disk.

    Attributes:
        config: how it is to be run.
        version: as it is named to callers; the directory's number, or what a lone file says.
        file: the model's file; of the variant ``variant``. For a model on another server its
            configuration.
        variant: `MAIN_VARIANT` unless it is another file of `ModelConfig.variants`.
        digest: hexadecimal SHA-256 of the file; where weights or a sidecar beside it belong to
            it, of the list of their names and digests; empty for a model on another server.
    """

    config: ModelConfig
    version: str
    file: Path
    variant: str = MAIN_VARIANT
    digest: str = ""
