"""Networks in ONNX Runtime, as raw tensors and from image to boxes, over one session."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from secondlook.cloud.backends.base import NetworkBackend, signature_of
from secondlook.cloud.backends.onnx_values import check_bits, run_bound, texts_in, texts_out
from secondlook.cloud.engine.tensors import DTYPES, Array, Signature, Tensors
from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.description import describe_session
from secondlook.cloud.repository.naming import weights_of
from secondlook.shared.detect.onnx_network import OnnxNetwork
from secondlook.shared.detect.providers import ON_DEVICES
from secondlook.shared.detect.session import (
    FOREIGN,
    OpenSession,
    open_session,
    read_digest,
    reason_of,
)
from secondlook.shared.errors import ModelFailure

BIND_BYTES = 256 * 1024
"""Outputs of at least this size are written by the network straight into the arrays that callers
get. ONNX Runtime's ordinary ``run`` copies them (118 against 42 us for 600 kB), but binding costs
Python some 40 to 90 us, which small outputs do not repay."""


class OnnxBackend(NetworkBackend):
    """See `Backend`. Made by `open_onnx`.

    Args:
        opened: an open session.
        release: what it was opened from; its configuration is complete with inputs and outputs.
        device: index of the device, where the provider has several.

    Raises:
        InvalidModel: parameters call it a detector, but it cannot be read as one.
        InvalidConfig: a parameter that cannot be.
    """

    def __init__(self, opened: OpenSession, release: Release, device: int) -> None:
        file, specs = release.file, (*release.config.inputs, *release.config.outputs)
        self._session: Any = opened.session
        self._texts = any(spec.dtype == "BYTES" for spec in specs)
        self._bits = frozenset(spec.name for spec in specs if spec.dtype == "BF16")
        if self._bits:
            check_bits()
        unknown = [value.name for value in opened.session.get_outputs() if not value.shape]
        self._sizes = _sizes(signature_of(release), unknown)
        indexed = f":{device}" if opened.provider in ON_DEVICES else ""
        super().__init__(
            OnnxNetwork(opened),
            release,
            dict(opened.session.get_modelmeta().custom_metadata_map),
            device=opened.provider.upper() + indexed,
            memory_bytes=sum(p.stat().st_size for p in (file, *weights_of(file))),
            free=unknown,
        )

    def close(self) -> None:
        """See `Backend.close`."""
        super().close()
        self._session = None

    def _run(self, inputs: Tensors, names: tuple[str, ...], rows: int) -> dict[str, Array]:
        feed = texts_in(inputs, self.signature.inputs) if self._texts else inputs
        try:
            given = self._give(feed, names, rows)
        except FOREIGN as error:
            raise ModelFailure(f"could not run: {reason_of(error)}") from error
        if self._texts:
            return {
                name: texts_out(array) if array.dtype == np.object_ else array
                for name, array in given.items()
            }
        return given

    def _give(self, feed: Tensors, names: Sequence[str], rows: int) -> dict[str, Array]:
        if not self._sizes and not self._bits:
            return dict(zip(names, self._session.run(names, feed), strict=True))
        into: dict[str, Array] = {}
        for name in names:
            size = self._sizes.get(name)
            if size is not None and size.of_row * rows >= BIND_BYTES:
                lead = (rows,) * bool(self.signature.max_batch)
                into[name] = np.empty((*lead, *size.shape), size.dtype)
        if into or self._bits:
            return run_bound(self._session, feed, names, into, self._bits)
        return dict(zip(names, self._session.run(names, feed), strict=True))


@dataclass(frozen=True, slots=True)
class _Size:
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    of_row: int


def _sizes(signature: Signature, unknown: Sequence[str]) -> dict[str, _Size]:
    """Of the outputs that are known before they are there, and can be worth binding."""
    sizes = {
        spec.name: _Size(
            spec.shape, DTYPES[spec.dtype], math.prod(spec.shape) * DTYPES[spec.dtype].itemsize
        )
        for spec in signature.outputs
        if -1 not in spec.shape and spec.dtype != "BYTES" and spec.name not in unknown
    }
    most = max(signature.max_batch, 1)
    return {name: size for name, size in sizes.items() if size.of_row * most >= BIND_BYTES}


def open_onnx(
    release: Release, *, providers: Sequence[str], device: int, threads: int, spin: bool
) -> OnnxBackend:
    """Load an ONNX file.

    Args:
        release: what to load.
        providers: see `secondlook.shared.detect.providers.rungs`.
        device: index of the device, for providers that have several.
        threads: threads of the network; 0 is one per usable core.
        spin: let idle threads of the network wait actively.

    Raises:
        InvalidModel: the file is missing or broken, or contradicts the configuration.
        InvalidConfig: a provider or a parameter that cannot be.
    """
    file, config = release.file, release.config
    digest = read_digest(file)
    opened = open_session(file, providers=providers, threads=threads, spin=spin, device=device)
    described = describe_session(file, opened.session)
    whole = complete(config, described, file, batch_said=bool(config.inputs or config.max_batch))
    return OnnxBackend(
        opened, replace(release, config=whole, digest=release.digest or digest), device
    )
