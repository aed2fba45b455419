"""Notes that wait: one for each record, and no more than the limit."""

from __future__ import annotations

from secondlook.edge.memory.backlog import Backlog
from secondlook.edge.memory.notes import Note
from secondlook.shared.memory.kinds import GateState, ScenePrior


def _asked(count: int, background_at_s: float | None = None) -> Note:
    return Note(GateState, "8x8", GateState(asked=count, background_at_s=background_at_s))


def test_notes_about_one_record_become_one() -> None:
    backlog = Backlog(10)
    backlog.put("a", _asked(2, 50.0))
    backlog.put("b", _asked(1))
    backlog.put("a", _asked(3, 40.0))
    assert len(backlog) == 2
    assert backlog.take(10) == {"b": _asked(1), "a": _asked(5, 50.0)}
    assert len(backlog) == 0


def test_where_it_is_full_the_oldest_goes_and_is_counted() -> None:
    backlog = Backlog(3)
    for number in range(5):
        backlog.put(str(number), _asked(number + 1))
    assert list(backlog.take(10)) == ["2", "3", "4"]
    assert backlog.dropped == 2


def test_what_could_not_be_written_comes_first_again_with_what_came_meanwhile() -> None:
    backlog = Backlog(10)
    for name in "abc":
        backlog.put(name, _asked(1))
    taken = backlog.take(2)
    backlog.put("b", _asked(10))
    backlog.put("d", _asked(1))
    backlog.give_back(taken.items())
    assert backlog.take(10) == {"a": _asked(1), "b": _asked(11), "c": _asked(1), "d": _asked(1)}


def test_giving_back_stays_within_the_limit() -> None:
    backlog = Backlog(2)
    for name in "ab":
        backlog.put(name, _asked(1))
    taken = backlog.take(2)
    for name in "cd":
        backlog.put(name, _asked(1))
    backlog.give_back(taken.items())
    assert list(backlog.take(10)) == ["c", "d"]
    assert backlog.dropped == 2


def test_a_removal_stands_whatever_was_noted_before_and_is_undone_by_what_comes_after() -> None:
    removal = Note(GateState, "8x8", None)
    assert removal.after(_asked(3)) == removal
    assert _asked(3).after(removal) == _asked(3)


def test_what_cannot_be_united_is_replaced() -> None:
    def prior(columns: int) -> Note:
        return Note(
            ScenePrior,
            "8x8",
            ScenePrior(columns=columns, rows=1, frames=1, counts={"car": (1,) * columns}),
        )

    assert prior(2).after(prior(3)) == prior(2)
