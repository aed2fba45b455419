from __future__ import annotations

import copy
import pickle

import pytest

from secondlook.shared.errors import (
    InvalidInput,
    MergeConflict,
    MissingDependency,
    Overloaded,
    SecondlookError,
    Unavailable,
    VersionConflict,
)

ERRORS = (
    InvalidInput("wrong", remedy="change it"),
    MissingDependency("torch", "torch"),
    Overloaded("full", retry_after_s=0.25),
    Unavailable("gone", remedy="wait", retry_after_s=2.0),
    VersionConflict("a/b/c/d", 3, 4, {"x": 1}),
    MergeConflict("a.b", 1, 2, 3, "a/b/c/d"),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_errors_survive_the_border_of_a_process(error: SecondlookError) -> None:
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error)
        assert str(same) == str(error)
        assert same.args == error.args
        assert vars(same) == vars(error)
