"""The two models of a comparison, from what the user names."""

from __future__ import annotations

from pathlib import Path

from secondlook.shared.detect import Detector, load_detector
from secondlook.shared.errors import InvalidModel, NotFound
from secondlook.shared.zoo import model_path

ZOO = "zoo:"


def load_model(reference: str, option: str) -> Detector:
    """Load and warm up ``reference``: a file, or ``zoo:NAME`` for one that is shipped. Blocking.

    Raises:
        InvalidModel: it is missing, corrupt or no detector; the message names ``option``.
    """
    try:
        path = (
            model_path(reference.removeprefix(ZOO))
            if reference.startswith(ZOO)
            else Path(reference).expanduser()
        )
        detector = load_detector(path)
        detector.warm_up()
    except (InvalidModel, NotFound) as error:
        raise InvalidModel(f"{option}: {error.message}", remedy=error.remedy) from error
    return detector
