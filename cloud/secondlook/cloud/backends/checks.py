"""What every backend refuses: wrong inputs before it runs, wrong outputs after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, TensorSpec
from secondlook.cloud.repository.config import MAIN_VARIANT, Release
from secondlook.cloud.repository.described import Description
from secondlook.cloud.repository.description import describe
from secondlook.shared.errors import InvalidInput, InvalidModel, ModelFailure, Unavailable


class Checks:
    """Of one loaded model.

    Args:
        release: names the model in messages.
        signature: what it takes and gives.
        free: outputs whose number of axes is not known.
    """

    def __init__(self, release: Release, signature: Signature, free: Iterable[str] = ()) -> None:
        self.signature = signature
        self.who = f"model {release.config.name} ({release.version or release.digest[:12]})"
        if release.variant != MAIN_VARIANT:
            self.who += f", variant {release.variant}"
        self._names = tuple(spec.name for spec in signature.outputs)
        self._specs = {spec.name: spec for spec in signature.outputs}
        self._free = frozenset(free)
        self._batched = bool(signature.max_batch)
        self._usual = {spec.name: (DTYPES[spec.dtype], spec.shape) for spec in signature.outputs}

    def wanted(self, outputs: Sequence[str]) -> tuple[str, ...]:
        """The names of the outputs to give.

        Raises:
            InvalidInput: one that the model has not.
        """
        if not outputs:
            return self._names
        for name in outputs:
            if name not in self._specs:
                raise InvalidInput(f"unknown output {name!r}; outputs are {sorted(self._specs)}")
        return tuple(dict.fromkeys(outputs))

    def given(self, outputs: Mapping[str, Array], rows: int) -> None:
        """Refuse what the model gave where it is not what it declares.

        Raises:
            ModelFailure: a wrong type, shape or number of rows.
        """
        lead = (rows,) * self._batched
        for name, array in outputs.items():
            # Told in two steps, the first for what is usual: this is part of every call.
            dtype, shape = self._usual[name]
            if array.dtype != dtype or array.shape != lead + shape:
                self._unusual(name, array, rows)

    def _unusual(self, name: str, array: Array, rows: int) -> None:
        spec = self._specs[name]
        if array.dtype != DTYPES[spec.dtype]:
            raise self.failure(f"gave {name!r} as {array.dtype}; {spec.dtype} is declared")
        shape = array.shape
        if self._batched:
            if not shape or shape[0] != rows:
                raise self.failure(f"gave {name!r} of shape {list(shape)} for {rows} rows")
            shape = shape[1:]
        if name not in self._free and not spec.accepts(shape):
            raise self.failure(
                f"gave {name!r} of shape {list(array.shape)}; "
                f"{[-1] * self._batched + list(spec.shape)} is declared"
            )

    def failure(self, what: str) -> ModelFailure:
        """An error that names the model."""
        return ModelFailure(f"{self.who} {what}")

    def closed(self) -> Unavailable:
        """The error of every call after `Backend.close`."""
        return Unavailable(f"{self.who} is closed")


def blank(signature: Signature) -> dict[str, Array] | None:
    """One row of nothing for every input; ``None`` where a length is open and none can be known."""
    feed: dict[str, Array] = {}
    for spec in signature.inputs:
        if -1 in spec.shape:
            return None
        feed[spec.name] = _nothing(spec, (1,) * bool(signature.max_batch))
    return feed


def _nothing(spec: TensorSpec, lead: tuple[int, ...]) -> Array:
    shape = (*lead, *spec.shape)
    if spec.dtype == "BYTES":
        return np.full(shape, b"", np.object_)
    return np.zeros(shape, DTYPES[spec.dtype])


def described_for(file: Path, backend: str) -> Description:
    """What a file says of itself.

    Raises:
        InvalidModel: it is missing or broken, or for another backend.
    """
    described = describe(file)
    if described.backend != backend:
        raise InvalidModel(
            f"model {file} is for backend {described.backend!r}, not for {backend}",
            remedy="name that backend in config.pbtxt",
        )
    return described
