"""What a stored result depends on: the clip, the models, the code that made it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import secondlook.cli.price as price_package
import secondlook.cloud.engine as engine_package
import secondlook.shared.detect as detect_package
import secondlook.shared.sim as sim_package
from secondlook.edge.capture.address import SourceAddress
from secondlook.shared.detect import ModelInfo
from secondlook.shared.errors import SecondlookError
from secondlook.shared.zoo import model_file

_LIBRARIES = ("av", "numpy", "onnxruntime", "opencv-python-headless", "protobuf", "grpcio")
_PACKAGES = (engine_package, detect_package, sim_package)
_PRICE = (
    "asking.py",
    "clip.py",
    "comparison.py",
    "heavy.py",
    "jpeg.py",
    "scaled.py",
    "video.py",
    "video_stream.py",
)
"""Of this package, what a baseline's answers and bytes come from; tables and pages are not."""
_MODULES = ("geometry.py", "letterbox.py")


def key_of(parts: Mapping[str, Any]) -> str:
    """One name for everything in ``parts``, which must be what JSON can hold."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def clip_fingerprint(url: str) -> str | None:
    """Of the pixels behind a URL; ``None`` where they may differ each time. Blocking."""
    if url.startswith("sim:"):
        return f"sim {url}"
    try:
        SourceAddress.parse(url)
    except SecondlookError:
        return None
    path = Path(url)
    if path.is_file():
        return f"file {_digest([path])}"
    if path.is_dir():
        return f"folder {_digest(sorted(p for p in path.iterdir() if p.is_file()))}"
    return None


def model_fingerprint(reference: str, info: ModelInfo) -> str:
    """Of a model file, with what its sidecars made of it. Blocking."""
    digest = _digest([Path(model_file(reference))])
    return key_of(
        {
            "file": digest,
            "names": list(info.names),
            "input": [info.width, info.height],
            "head": info.head,
            "provider": info.provider,
            "version": info.version,
        }
    )


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Of all that computes a baseline's answers: our own code, and the libraries' versions."""
    root = Path(str(detect_package.__file__)).parent.parent
    files = [root / name for name in _MODULES]
    files += [Path(str(price_package.__file__)).parent / name for name in _PRICE]
    for package in _PACKAGES:
        files += sorted(Path(str(package.__file__)).parent.rglob("*.py"))
    return key_of({"source": _digest(files), "libraries": [_version(name) for name in _LIBRARIES]})


def _digest(files: Iterable[Path]) -> str:
    """Of names and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(f"\0{path.name}\0".encode())
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return library
