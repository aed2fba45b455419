"""What can be known of a model from its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FileTensor:
    """One input or output, as a file declares it.

    Attributes:
        name: what the file calls it.
        dtype: its name in the protocol (`secondlook.cloud.engine.tensors.DTYPES`).
        shape: every axis, -1 where the length is open; ``None`` where even their number is.
    """

    name: str
    dtype: str
    shape: tuple[int, ...] | None

    @property
    def open_first(self) -> bool:
        """Whether the first axis may be one of a batch."""
        return self.shape is None or (bool(self.shape) and self.shape[0] == -1)

    def __str__(self) -> str:
        shape = "?" if self.shape is None else list(self.shape)
        return f"{self.name} {self.dtype} {shape}"


@dataclass(frozen=True, slots=True)
class Description:
    """A model's file.

    Attributes:
        backend: what runs it where nothing is configured.
        inputs: its inputs; empty where the file does not tell.
        outputs: its outputs; likewise.
        metadata: what its maker wrote into it.
        max_rows: longest first axis that it takes; 0: no limit is known.
    """

    backend: str
    inputs: tuple[FileTensor, ...] = ()
    outputs: tuple[FileTensor, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    max_rows: int = 0

    @property
    def told(self) -> bool:
        """Whether it tells what it takes and gives."""
        return bool(self.inputs)

    @property
    def batches(self) -> bool:
        """Whether every tensor has an open first axis, which a batch can use."""
        return self.told and all(t.open_first for t in (*self.inputs, *self.outputs))
