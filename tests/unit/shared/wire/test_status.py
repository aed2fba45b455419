import grpc
import pytest

from secondlook.shared import errors
from secondlook.shared.wire.status import error_from_status, status_of


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidInput("field x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.InvalidConfig("field x"), grpc.StatusCode.INVALID_ARGUMENT),
        (errors.NotFound("a"), grpc.StatusCode.NOT_FOUND),
        (errors.VersionConflict("a", 1, 2), grpc.StatusCode.ABORTED),
        (errors.CursorTooOld(3, 7), grpc.StatusCode.OUT_OF_RANGE),
        (errors.PermissionDenied("a"), grpc.StatusCode.PERMISSION_DENIED),
        (errors.Overloaded("full"), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (errors.DeadlineExceeded("late"), grpc.StatusCode.DEADLINE_EXCEEDED),
        (errors.Unavailable("draining"), grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_an_expected_error_keeps_its_message(
    error: errors.SecondlookError, code: grpc.StatusCode
) -> None:
    status = status_of(error)
    assert (status.code, status.text, status.incident) == (code, str(error), "")


def test_a_remedy_travels_behind_the_message() -> None:
    error = errors.PermissionDenied("gate-1 may not", remedy="ask the operator")
    assert status_of(error).text == "gate-1 may not (ask the operator)"


def test_what_may_hold_secrets_does_not_leave() -> None:
    assert "10.0.0.7" not in status_of(errors.StoreError("redis at 10.0.0.7 refused")).text
    status = status_of(ZeroDivisionError("secret of the house"))
    assert status.code is grpc.StatusCode.INTERNAL
    assert "secret" not in status.text
    assert status.incident
    assert status.incident in status.text


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidInput,
        errors.NotFound,
        errors.PermissionDenied,
        errors.Overloaded,
        errors.DeadlineExceeded,
        errors.Unavailable,
        errors.ModelFailure,
    ],
)
def test_the_other_side_gets_the_same_kind_back(kind: type[errors.SecondlookError]) -> None:
    status = status_of(kind("text"))
    back = error_from_status(status.code, status.text)
    assert type(back) is kind
    assert back.retriable == kind.retriable


def test_an_unknown_status_is_still_an_error_of_ours() -> None:
    back = error_from_status(grpc.StatusCode.DATA_LOSS, "odd")
    assert type(back) is errors.SecondlookError
    assert "DATA_LOSS" in str(back)
