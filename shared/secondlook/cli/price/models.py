"""The two models of a comparison, from what the user names."""

from __future__ import annotations

from secondlook.shared.detect import Detector, load_detector
from secondlook.shared.errors import InvalidModel
from secondlook.shared.zoo import model_file


def load_model(reference: str, option: str) -> Detector:
    """Load and warm up ``reference``: a file, or ``zoo:NAME`` for one that is shipped. Blocking.

    Raises:
        InvalidModel: it is missing, corrupt or no detector; the message names ``option``.
    """
    try:
        detector = load_detector(model_file(reference))
        detector.warm_up()
    except InvalidModel as error:
        raise InvalidModel(f"{option}: {error.message}", remedy=error.remedy) from error
    return detector
