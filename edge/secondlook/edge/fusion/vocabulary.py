"""The class names of one camera: the light model's, then what verdicts add."""

from __future__ import annotations

from secondlook.shared.values import Detections

MAX_NAMES = 4096


class Vocabulary:
    """Class names that only grow at the end, so that old indices stay true."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._index = {name: i for i, name in reversed(list(enumerate(names)))}

    @property
    def names(self) -> tuple[str, ...]:
        """All names known now."""
        return self._names

    def translate(self, detections: Detections) -> Detections:
        """The same boxes over this vocabulary; names beyond `MAX_NAMES` are dropped."""
        if detections.names == self._names:
            return detections
        for name in dict.fromkeys(detections.class_names()):
            if name not in self._index and len(self._names) < MAX_NAMES:
                self._index[name] = len(self._names)
                self._names += (name,)
        return detections.renamed(self._names)
