"""Every error that crosses a module's border.

::

    SecondlookError
    +-- InvalidInput            bad bytes, sizes, numbers, names: the caller must change something
    |   +-- InvalidConfig       a settings file or variable, with the field and the remedy
    |   +-- InvalidModel        a model file, its head or its class list
    +-- MissingDependency       an extra is not installed; says which `pip install` mends it
    +-- NotFound                no such record, model, camera
    +-- VersionConflict         an optimistic save met another writer; carries the current record
    +-- PermissionDenied        this identity may not speak for that camera
    +-- Overloaded       (retriable)  a bounded queue is full
    +-- DeadlineExceeded        the answer would come too late to be useful
    +-- Unavailable      (retriable)  the other side cannot be reached or is draining
    +-- SourceError      (retriable)  a camera stream died, stalled or cannot be opened
    +-- ModelFailure            a model ran and gave nonsense (NaN, wrong shape)
    +-- StoreError       (retriable)  the context memory's store failed

Foreign exceptions (``redis.*``, ``grpc.*``, ``onnxruntime.*``, ``cv2.error``) are mapped to these
at their adapter and seen nowhere else. What each becomes on the wire:
`secondlook.shared.wire.status`.
"""

from __future__ import annotations

from typing import Any, ClassVar


class SecondlookError(Exception):
    """Root of the tree.

    Attributes:
        retriable: whether trying the same thing again later can help.
        remedy: what the reader can do, one sentence; empty where nothing is known.
    """

    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class InvalidInput(SecondlookError, ValueError):
    """The caller gave something that can never work; the message names it."""


class InvalidConfig(InvalidInput):
    """A settings file or variable is wrong; the message names the field."""


class InvalidModel(InvalidInput):
    """A model file is missing, corrupt, has an unknown head or a wrong class list."""


class MissingDependency(SecondlookError):
    """A library of an optional extra is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed", remedy=f"pip install 'secondlook[{extra}]'")
        self.extra = extra


class NotFound(SecondlookError):
    """No record, model or camera of that name."""


class VersionConflict(SecondlookError):
    """Another writer was first.

    Attributes:
        record_id: id of the record.
        expected: the version the caller expected; 0 means "must not exist".
        actual: the version that stands; 0 where nothing does.
        current: the record that stands (`secondlook.shared.memory.Record`), or ``None``.
    """

    def __init__(self, record_id: str, expected: int, actual: int, current: Any = None) -> None:
        super().__init__(f"{record_id}: expected version {expected}, found {actual}")
        self.record_id = record_id
        self.expected = expected
        self.actual = actual
        self.current = current


class PermissionDenied(SecondlookError):
    """This identity may not do that."""


class Overloaded(SecondlookError):
    """A bounded queue is full."""

    retriable = True


class DeadlineExceeded(SecondlookError):
    """Too late to be useful."""


class Unavailable(SecondlookError):
    """The other side cannot be reached, or is going away."""

    retriable = True


class SourceError(SecondlookError):
    """A camera stream cannot be opened, died or stalled."""

    retriable = True


class ModelFailure(SecondlookError):
    """A model ran and gave nonsense."""


class StoreError(SecondlookError):
    """The store behind the context memory failed."""

    retriable = True
