"""What the files of a model are called."""

from __future__ import annotations

from pathlib import Path

from secondlook.cloud.repository.config import ModelConfig
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
    endings = (".toml", ".json", ".txt")
    beside = [file.with_suffix(ending) for ending in endings]
    weights = [file.with_name(file.name + ".data"), file.with_name(file.name + "_data")]
    return (file.name, *(path.name for path in (*beside, *weights) if path.is_file()))
