"""What the files of a model are called."""

from __future__ import annotations

from pathlib import Path

from secondlook.cloud.repository.config import ModelConfig
from secondlook.shared.detect.declaration import SIDECARS
from secondlook.shared.errors import InvalidModel

_FILES: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("model.onnx",),
    "pytorch": ("model.pt2", "model.pt"),
    "ultralytics": ("model.pt",),
    "": ("model.onnx", "model.pt2", "model.pt"),
}
"""What the model's file is called where the configuration does not say, by backend."""


def model_file_name(inside: Path, files: tuple[str, ...], config: ModelConfig) -> str:
    """The model's file: by its usual name, or the only one there.

    Args:
        inside: the version's directory, for error messages.
        files: names of the files in it.
        config: what is configured; its backend may be empty.

    Raises:
        InvalidModel: there is none, or there are several.
    """
    usual = _FILES[config.backend]
    for name in usual:
        if name in files:
            return name
    variants = set(config.variants.values())
    endings = {Path(name).suffix for name in usual}
    found = [name for name in files if Path(name).suffix in endings and name not in variants]
    if len(found) == 1:
        return found[0]
    there = f"there are {', '.join(found[:5])}" if found else "there is none"
    raise InvalidModel(
        f"{inside}: no {' or '.join(usual)}; {there}",
        remedy="name the file in default_model_filename" if found else "",
    )


def companions(file: Path) -> tuple[str, ...]:
    """A lone file, with the sidecar and weights that share its name."""
    sidecars = [file.with_suffix(ending) for ending in SIDECARS]
    found = [path.name for path in sidecars if path.is_file()]
    return (file.name, *found, *(path.name for path in weights_of(file)))


def weights_of(file: Path) -> list[Path]:
    """The external weights of an ONNX file, under the names that exporters give them."""
    usual = (file.with_name(file.name + ending) for ending in (".data", "_data"))
    return [path for path in usual if path.is_file()]
