"""What is wrong, or passed over, in a model repository: where, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from secondlook.shared.errors import InvalidConfig, InvalidModel

_SHOWN = 4
"""Issues that one error message names; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing in a configuration.

    Attributes:
        field: path of the field, as ``input[0].dims``; empty for the whole.
        reason: what is wrong with it, or why it is passed over; no full stop.
        line: where it stands, from 1; ``None`` where nothing has lines.
    """

    field: str
    reason: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}" if self.field else self.reason


class FaultyConfig(InvalidConfig):
    """A configuration that says something which cannot be.

    Attributes:
        where: the file, or what else it came from.
        issues: all that is wrong with it; at least one.
    """

    def __init__(self, where: str, issues: Sequence[Issue]) -> None:
        self.where = where
        self.issues = tuple(issues)
        shown = "; ".join(
            f"{where}:{issue.line}: {issue}" if issue.line else f"{where}: {issue}"
            for issue in self.issues[:_SHOWN]
        )
        rest = len(self.issues) - _SHOWN
        super().__init__(shown + (f"; and {rest} more" if rest > 0 else ""))


class Severity(str, Enum):
    """What a finding means for what is served."""

    ERROR = "error"
    """Something is not served because of it."""

    NOTE = "note"
    """Something was passed over; what is served is served."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in a repository that somebody should know of.

    Attributes:
        model: of which model; empty where it is of none.
        reason: what it is, a sentence without full stop.
        version: of which version; empty for all of them.
        file: where.
        line: in which line of it, from 1; ``None`` where it has none.
        field: in which field of a configuration; else empty.
        severity: what it means.
        about_config: whether the configuration is to blame, and not a model's file.
    """

    model: str
    reason: str
    version: str = ""
    file: Path | None = None
    line: int | None = None
    field: str = ""
    severity: Severity = Severity.ERROR
    about_config: bool = False

    def __str__(self) -> str:
        place = "" if self.file is None else str(self.file)
        if self.line is not None:
            place += f":{self.line}"
        return ": ".join(part for part in (place, self.field, self.reason) if part)

    def error(self) -> InvalidConfig | InvalidModel:
        """It, as what `ModelRepository.read` raises."""
        return (InvalidConfig if self.about_config else InvalidModel)(str(self))
