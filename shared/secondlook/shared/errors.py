"""Every error that crosses a module's border.

::

    SecondlookError
    +-- InvalidInput            bad bytes, sizes, numbers, names: the caller must change something
    |   +-- InvalidConfig       a settings file or variable, with the field and the remedy
    |   +-- InvalidModel        a model file, its head or its class list
    +-- MissingDependency       an extra is not installed; says which `pip install` mends it
    +-- NotFound                no such record, model, camera
    +-- VersionConflict         an optimistic save met another writer; carries the current record
    +-- MergeConflict           two changes of one field that no rule can unite; carries both sides
    +-- CursorTooOld            deletions after this cursor are forgotten; synchronise in full
    +-- PermissionDenied        this identity may not speak for that camera
    +-- Overloaded       (retriable)  a bounded queue is full
    +-- DeadlineExceeded        the answer would come too late to be useful
    +-- Unavailable      (retriable)  the other side cannot be reached or is draining
    |   +-- StateLost           a stream cannot go on from here: the next update is a key frame
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

    def __reduce__(self) -> tuple[Any, ...]:
        # As Python would pickle it, but without calling a constructor that wants other arguments.
        return _unpickled, (type(self), self.args), self.__dict__


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


class MergeConflict(SecondlookError):
    """Two writers changed one field in ways that no rule can unite.

    Attributes:
        record_id: id of the record; empty where a document has none.
        path: the field, as ``a.b[2]``.
        base: its value in the common ancestor; ``None`` where it was absent.
        ours: its value on this side; ``None`` where it is absent.
        theirs: its value on the other side; ``None`` where it is absent.
    """

    def __init__(self, path: str, base: Any, ours: Any, theirs: Any, record_id: str = "") -> None:
        where = f"{record_id}: {path}" if record_id else path
        super().__init__(
            f"{where} was changed on both sides, to {_short(ours)} and {_short(theirs)}",
            remedy="decide by hand, or give the field a merge rule",
        )
        self.record_id = record_id
        self.path = path
        self.base = base
        self.ours = ours
        self.theirs = theirs


class CursorTooOld(SecondlookError):
    """Deletions after this cursor have been forgotten: only a full listing is complete.

    Attributes:
        since: the cursor that was given.
        floor: the oldest cursor that still works.
    """

    def __init__(self, since: int, floor: int) -> None:
        super().__init__(
            f"cursor {since} is too old: deletions up to {floor} are forgotten",
            remedy="begin again from 0",
        )
        self.since = since
        self.floor = floor


class PermissionDenied(SecondlookError):
    """This identity may not do that."""


class Overloaded(SecondlookError):
    """A bounded queue is full.

    Attributes:
        retry_after_s: when it makes sense to ask again, seconds; ``None`` where nobody knows.
    """

    retriable = True

    def __init__(
        self, message: str, *, remedy: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(SecondlookError):
    """Too late to be useful."""

    def __init__(
        self, message: str = "the answer would come too late to be useful", *, remedy: str = ""
    ) -> None:
        super().__init__(message, remedy=remedy)


class Unavailable(SecondlookError):
    """The other side cannot be reached, or is going away.

    Attributes:
        retry_after_s: when it makes sense to ask again, seconds; ``None`` where nobody knows.
    """

    retriable = True

    def __init__(
        self, message: str, *, remedy: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class StateLost(Unavailable):
    """The other end has lost what an update builds on; only a key frame can follow."""

    retriable = False


class SourceError(SecondlookError):
    """A camera stream cannot be opened, died or stalled."""

    retriable = True


class ModelFailure(SecondlookError):
    """A model ran and gave nonsense."""


class StoreError(SecondlookError):
    """The store behind the context memory failed."""

    retriable = True


def _unpickled(kind: type[SecondlookError], args: tuple[Any, ...]) -> SecondlookError:
    error = kind.__new__(kind)
    error.args = args
    return error


def _short(value: Any) -> str:
    """A value for people; a long one is cut."""
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
