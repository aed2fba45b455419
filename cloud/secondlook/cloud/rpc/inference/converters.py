"""Readers and writers of the models that are asked for, each made once."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.cloud.engine.serving import Serving
from secondlook.cloud.engine.tensors import Signature
from secondlook.cloud.rpc.inference import detection
from secondlook.cloud.rpc.inference.reading import Reader
from secondlook.cloud.rpc.inference.writing import Writer

MAX_KEPT = 1024
"""Most that are kept; names of versions long gone must not gather."""


@dataclass(frozen=True, slots=True)
class Converter:
    """Reads requests and writes replies of one signature."""

    signature: Signature
    reader: Reader
    writer: Writer

    @classmethod
    def of(cls, signature: Signature) -> Converter:
        """The converter of a signature."""
        return cls(signature, Reader(signature), Writer(signature))


class Converters:
    """By name and version, as they are asked for.

    Args:
        serving: what knows the signatures.
    """

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._kept: dict[tuple[str, str], Converter] = {}
        self.detection = Converter.of(detection.SIGNATURE)

    def of(self, model: str, version: str) -> Converter:
        """The converter for what is served now.

        Raises:
            NotFound: no such model or version is ready.
        """
        signature = self._serving.signature(model, version)
        kept = self._kept.get((model, version))
        # A reload may have changed what the name stands for.
        if kept is None or kept.signature is not signature:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            kept = self._kept[model, version] = Converter.of(signature)
        return kept
