"""Checks in order: bounded, and none after a failure."""

from __future__ import annotations

import anyio
import pytest
from support.doctor import Results

from secondlook.cli.doctor.chain import Check, run_chain
from secondlook.cli.doctor.report import Results as Printed
from secondlook.cli.doctor.report import as_json
from secondlook.cli.doctor.result import CheckResult, Status, exit_code, fail, ok, warn
from secondlook.shared.errors import (
    InvalidConfig,
    MissingDependency,
    ModelFailure,
    SecondlookError,
    SourceError,
)

pytestmark = pytest.mark.anyio


def passing(name: str) -> Check:
    async def run(name: str) -> CheckResult:
        return ok(name, "fine")

    return Check(name, run)


def raising(name: str, error: Exception) -> Check:
    async def run(name: str) -> CheckResult:
        raise error

    return Check(name, run, remedy="think")


async def test_what_follows_a_failure_is_skipped_and_says_why() -> None:
    results = Results()
    checks = [passing("a"), raising("b", SourceError("died")), passing("c"), passing("d")]
    assert not await run_chain(checks, 5.0, results)
    assert [r.status.value for r in results] == ["ok", "fail", "skip", "skip"]
    assert results[3].detail == "not tried, because b failed"


async def test_a_warning_does_not_stop_the_chain() -> None:
    async def run(name: str) -> CheckResult:
        return warn(name, "odd", "look")

    results = Results()
    assert await run_chain([Check("a", run), passing("b")], 5.0, results)
    assert [r.status.value for r in results] == ["warn", "ok"]


async def test_a_check_that_hangs_is_ended() -> None:
    async def hang(name: str) -> CheckResult:
        await anyio.sleep_forever()
        raise AssertionError("unreachable")

    results = Results()
    await run_chain([Check("a", hang, "it sleeps", "wake it"), passing("b")], 0.01, results)
    assert results[0].detail == "it sleeps within 0.01 s"
    assert results[0].remedy == "wake it"
    assert results[1].status is Status.SKIP


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidConfig("x"), 2),
        (MissingDependency("x", "edge"), 3),
        (SourceError("x"), 4),
        (ModelFailure("x"), 1),
    ],
)
async def test_errors_of_the_tree_keep_their_exit_code(error: SecondlookError, code: int) -> None:
    results = Results()
    await run_chain([raising("a", error)], 5.0, results)
    assert exit_code(results) == code
    assert results[0].remedy in ("think", error.remedy)


async def test_a_bug_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        await run_chain([raising("a", ZeroDivisionError())], 5.0, Results())


async def test_the_exit_code_is_that_of_the_first_failure() -> None:
    results = [ok("a", ""), fail("b", "", "", 4), fail("c", "", "", 2)]
    assert exit_code(results) == 4
    assert exit_code(results[:1]) == 0
    assert exit_code([]) == 0


async def test_reports_hold_no_password_and_no_control_characters() -> None:
    printed = Printed()
    printed(fail("a", "rtsp://u:hunter2@cam is \x1b[31mred\x07", "try rtsp://u:hunter2@other"))
    assert "hunter2" not in as_json(printed)
    assert printed[0].detail == "rtsp://u:***@cam is  [31mred "
    assert "First to mend: a. try rtsp://u:***@other" in printed.summary()
