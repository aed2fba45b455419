"""The two demo models, trained on the simulated street; their cards lie beside them.

They know `sim://street` and nothing else: they show how Secondlook works, on any machine.
"""

from __future__ import annotations

from pathlib import Path

from secondlook.shared.errors import InvalidModel

MODELS: tuple[str, ...] = ("street_light", "street_heavy")
"""Names of the shipped models."""

PREFIX = "zoo:"
"""What a reference to a shipped model starts with, wherever a model file can be named."""


def model_path(name: str) -> Path:
    """Where the ONNX file of a shipped model lies.

    Raises:
        InvalidModel: no such model is shipped.
    """
    path = Path(__file__).parent / f"{name}.onnx"
    if name not in MODELS:
        raise InvalidModel(f"no model {name!r} is shipped; there are {', '.join(MODELS)}")
    if not path.exists():
        raise InvalidModel(f"the file of {name} is missing", remedy="install secondlook again")
    return path


def model_file(reference: str) -> Path:
    """The file that ``reference`` names: ``zoo:NAME`` for a shipped model, else a path.

    Raises:
        InvalidModel: no such model is shipped.
    """
    if reference.startswith(PREFIX):
        return model_path(reference.removeprefix(PREFIX))
    return Path(reference).expanduser()


__all__ = ["MODELS", "PREFIX", "model_file", "model_path"]
