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

    def index(self, name: str) -> int | None:
        """Index of a name, which is added where it is new; ``None`` beyond `MAX_NAMES`."""
        if name not in self._index and len(self._names) < MAX_NAMES:
            self._index[name] = len(self._names)
            self._names += (name,)
        return self._index.get(name)

    def translate(self, detections: Detections) -> Detections:
        """The same boxes over this vocabulary; names beyond `MAX_NAMES` are dropped."""
        if detections.names == self._names:
            return detections
        occurring = dict.fromkeys(detections.class_names())
        new = [name for name in occurring if name not in self._index]
        new = new[: max(0, MAX_NAMES - len(self._names))]
        self._index.update((name, len(self._names) + i) for i, name in enumerate(new))
        self._names += tuple(new)
        return detections.renamed(self._names)
