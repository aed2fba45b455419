"""From the settings to models ready to be served."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from secondlook.cloud.engine.local_static import ACCELERATOR_BATCH, Loaded
from secondlook.cloud.settings import ModelSettings
from secondlook.shared.detect import load_detector
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.telemetry import get_logger
from secondlook.shared.zoo import model_file


def load_models(settings: Sequence[ModelSettings]) -> list[Loaded]:
    """Load and warm up each model. Blocking.

    Raises:
        InvalidConfig: no model of that name is shipped, or a provider is unknown or absent.
        InvalidModel: a file is missing, corrupt, or has a head that is not understood.
    """
    loaded: list[Loaded] = []
    with ExitStack() as undo:
        for model in settings:
            loaded.append(_load(model))
            undo.callback(loaded[-1].detector.close)
        undo.pop_all()
    return loaded


def _path(path: str) -> Path:
    try:
        return model_file(path)
    except InvalidModel as error:
        raise InvalidConfig(f"models.path {path!r}: {error.message}") from None


def _load(model: ModelSettings) -> Loaded:
    detector = load_detector(
        _path(model.path),
        name=model.name,
        version=model.version,
        providers=model.providers,
        threads=model.threads,
        max_batch=model.max_batch or ACCELERATOR_BATCH,
    )
    detector.warm_up()
    info = detector.info
    get_logger(__name__).info(
        "model loaded",
        model=info.name,
        version=info.version,
        head=info.head,
        provider=info.provider,
        input=f"{info.width}x{info.height}",
        classes=len(info.names),
    )
    return Loaded(detector, model.min_score, model.max_batch)
