"""What a check says, and what all of them together mean for the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from secondlook.cli.main import (
    EXIT_MISSING_DEPENDENCY,
    EXIT_UNEXPECTED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
)
from secondlook.shared.errors import (
    DeadlineExceeded,
    InvalidInput,
    MissingDependency,
    SecondlookError,
    SourceError,
    StoreError,
    Unavailable,
)


class Status(str, Enum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """Works, and somebody should know."""
    FAIL = "fail"
    SKIP = "skip"
    """Not tried: an earlier hop failed, or there is nothing to check."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: what was checked, ``"cloud: TCP"``.
        status: how it ended.
        detail: what was found, one line.
        remedy: what to do about it; empty where nothing needs doing.
        exit_code: what the command ends with if this is its first failure.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""
    exit_code: int = EXIT_UNEXPECTED


def ok(name: str, detail: str) -> CheckResult:
    """All is well."""
    return CheckResult(name, Status.OK, detail)


def warn(name: str, detail: str, remedy: str) -> CheckResult:
    """It works, and somebody should know."""
    return CheckResult(name, Status.WARN, detail, remedy)


def skip(name: str, detail: str) -> CheckResult:
    """It was not tried."""
    return CheckResult(name, Status.SKIP, detail)


def fail(name: str, detail: str, remedy: str, exit_code: int = EXIT_UNREACHABLE) -> CheckResult:
    """It does not work."""
    return CheckResult(name, Status.FAIL, detail, remedy, exit_code)


def failed(name: str, error: SecondlookError, remedy: str = "") -> CheckResult:
    """A check that ended in an error of the tree, with the exit code that error has elsewhere."""
    return CheckResult(
        name, Status.FAIL, error.message, error.remedy or remedy, _exit_code_of(error)
    )


def exit_code(results: Sequence[CheckResult]) -> int:
    """0 without failures, else the code of the first one."""
    return next((r.exit_code for r in results if r.status is Status.FAIL), 0)


def _exit_code_of(error: SecondlookError) -> int:
    if isinstance(error, InvalidInput):
        return EXIT_USAGE
    if isinstance(error, MissingDependency):
        return EXIT_MISSING_DEPENDENCY
    if isinstance(error, (Unavailable, SourceError, StoreError, DeadlineExceeded)):
        return EXIT_UNREACHABLE
    return EXIT_UNEXPECTED
