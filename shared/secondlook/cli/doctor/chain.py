"""Checks in order: each within its time, none after one of its chain has failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import anyio

from secondlook.cli.doctor.result import CheckResult, Status, fail, failed, skip
from secondlook.shared.errors import SecondlookError

Report = Callable[[CheckResult], None]
"""Called with each result as soon as it is known."""


@dataclass(frozen=True, slots=True)
class Check:
    """One step of a chain.

    Attributes:
        name: what it checks.
        run: does it, without a name of its own to repeat.
        late: what it means when the time runs out, for people.
        remedy: what to do then.
    """

    name: str
    run: Callable[[str], Awaitable[CheckResult]]
    late: str = "no answer"
    remedy: str = "raise --timeout if the way is known to be slow"


async def run_chain(checks: Iterable[Check], timeout_s: float, report: Report) -> bool:
    """Run ``checks`` one after another, each for at most ``timeout_s`` seconds.

    Errors of the tree that a check lets through become its failure. Once one has failed, the
    rest is reported as skipped.

    Returns:
        Whether none failed.
    """
    broken = ""
    for check in checks:
        if broken:
            report(skip(check.name, f"not tried, because {broken} failed"))
            continue
        result = await _bounded(check, timeout_s)
        report(result)
        if result.status is Status.FAIL:
            broken = check.name
    return not broken


async def _bounded(check: Check, timeout_s: float) -> CheckResult:
    try:
        with anyio.fail_after(timeout_s):
            return await check.run(check.name)
    except TimeoutError:
        return fail(check.name, f"{check.late} within {timeout_s:g} s", check.remedy)
    except SecondlookError as error:
        return failed(check.name, error, check.remedy)
