"""From a file to a detector."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from secondlook.shared.detect.build import NMS_IOU, make_detector
from secondlook.shared.detect.class_names import check_names, parse_names
from secondlook.shared.detect.declaration import Declaration, from_sidecar
from secondlook.shared.detect.network_detector import NetworkDetector
from secondlook.shared.detect.onnx_network import OnnxNetwork
from secondlook.shared.detect.session import open_session, read_digest
from secondlook.shared.errors import InvalidConfig, InvalidModel


def load_detector(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    version: str | None = None,
    names: Sequence[str] | str | None = None,
    head: str | None = None,
    providers: Sequence[str] = ("auto",),
    threads: int = 0,
    max_batch: int = 8,
    nms_iou: float = NMS_IOU,
    spin: bool = False,
) -> NetworkDetector:
    """Load an ONNX detector.

    What the arguments say wins over a sidecar (``street.toml`` beside ``street.onnx``), which wins
    over the metadata in the file, which wins over what shapes suggest.

    Args:
        path: the ONNX file.
        name: short name for people, metrics and verdicts; the file's stem by default.
        version: immutable release; from sidecar or metadata, else ``sha256:`` and 12 digits.
        names: class names in order, or ``"coco"``.
        head: one of `secondlook.shared.detect.heads.HEAD_NAMES`.
        providers: execution providers to try in order, or ``("auto",)``.
        threads: threads of the network; 0 is one per usable core.
        max_batch: most images in one call of the network; a fixed batch in the file wins.
        nms_iou: of two boxes of a class that overlap by more than this, the weaker goes.
        spin: let idle threads of the network wait actively.

    Raises:
        InvalidModel: the file is missing, broken, no detector, or its head or class list unclear.
        InvalidConfig: a provider that is unknown or absent, a number out of range.
    """
    if not 0 <= threads <= 1024:
        raise InvalidConfig(f"threads is {threads}; 0 (all cores) to 1024 expected")
    if not 1 <= max_batch <= 1024:
        raise InvalidConfig(f"max_batch is {max_batch}; 1 to 1024 expected")
    if not 0 < nms_iou <= 1:
        raise InvalidConfig(f"nms_iou is {nms_iou}; above 0, at most 1 expected")
    file = Path(path)
    digest = read_digest(file)
    said = _argued(names, head, version).over(from_sidecar(file) or Declaration())
    opened = open_session(file, providers=providers, threads=threads, spin=spin)
    try:
        return make_detector(
            OnnxNetwork(opened),
            where=file,
            name=name or file.stem,
            version=f"sha256:{digest[:12]}",
            said=said,
            metadata=dict(opened.session.get_modelmeta().custom_metadata_map),
            max_batch=max_batch,
            nms_iou=nms_iou,
        )
    except UnicodeDecodeError as error:
        raise InvalidModel(
            f"{file} names its parts in no known text encoding", remedy="export it again"
        ) from error


def _argued(
    names: Sequence[str] | str | None, head: str | None, version: str | None
) -> Declaration:
    listed: tuple[str, ...] | None = None
    if isinstance(names, str):
        listed = parse_names(names, "argument names")
    elif names is not None:
        listed = check_names(names, "argument names")
    try:
        return Declaration.model_validate({"names": listed, "head": head, "version": version})
    except ValueError as error:
        raise InvalidModel(f"head {head!r} or version {version!r} is not known") from error
