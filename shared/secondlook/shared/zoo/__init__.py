"""The two demo models, trained on the simulated street; their cards lie beside them.

They know `sim://street` and nothing else: they show how Secondlook works, on any machine.
"""

from __future__ import annotations

from pathlib import Path

from secondlook.shared.errors import NotFound

MODELS: tuple[str, ...] = ("street_light", "street_heavy")
"""Names of the shipped models."""


def model_path(name: str) -> Path:
    """Where the ONNX file of a shipped model lies.

    Raises:
        NotFound: no such model is shipped.
    """
    path = Path(__file__).parent / f"{name}.onnx"
    if name not in MODELS or not path.exists():
        raise NotFound(f"no model {name!r} is shipped; there are {', '.join(MODELS)}")
    return path


__all__ = ["MODELS", "model_path"]
