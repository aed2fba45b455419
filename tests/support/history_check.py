"""Does a recorded history keep the promises of the context memory?

Versions make this decidable without search: each record is a chain of versions 1, 2, 3, ... and
each answer names a place in it. `check_history` checks that every write that was acknowledged has
a place of its own in the chain, directly after what it expected; that a hole in the chain can be
a write of unknown outcome; that one version has one content for whoever sees it; that nobody sees
less than what was acknowledged before it asked, nor what nobody had asked for yet; and that what
stands in the end is the end of the chain. That is linearizability of each record.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from secondlook.shared.memory.record import Record
from support.history import TOMBSTONE, Operation, content_of

NEVER = float("inf")
REFUSALS = ("conflict", "absent", "refused")
"""What is answered to a write that has not happened and will not."""


@dataclass(frozen=True)
class Problem:
    """A broken promise.

    Attributes:
        kind: one word: see the function that found it.
        record: id of the record.
        text: what was seen.
    """

    kind: str
    record: str
    text: str


@dataclass(eq=False)
class _Logical:
    """One write: all attempts with one origin, or the only attempt without one."""

    attempts: list[Operation]
    versions: set[int] = field(default_factory=set)
    acknowledged: bool = False
    possible: bool = False

    @property
    def first(self) -> Operation:
        return self.attempts[0]

    @property
    def invoked(self) -> float:
        return min(attempt.invoked for attempt in self.attempts)

    def expects(self, version: int) -> bool:
        return any(attempt.expected == version for attempt in self.attempts)

    def __str__(self) -> str:
        one = self.first
        name = one.origin or f"at {one.invoked:.3f}"
        return f"{one.verb} by {one.process} ({name}) on version {one.expected}"


def check_history(
    operations: Iterable[Operation],
    final: Mapping[str, Record] | None = None,
    *,
    complete: bool = True,
) -> list[Problem]:
    """Problems of one store's history.

    Kinds: ``twice`` (one write at two places), ``version`` (two writes, or two contents, at one
    version), ``blind`` (a write that is not right after what it expected, or creates over what
    stands), ``resurrected`` (a write on a tombstone as if it stood), ``lost`` (acknowledged, and
    not in the chain or beyond its end), ``gap`` (a version that no write explains), ``stale``
    (less was seen than stood before), ``absent`` (nothing was seen where something stood),
    ``future`` (seen before anybody asked for it), ``spurious`` (a conflict with the version that
    was expected).

    Args:
        operations: of one store.
        final: what stands in the end, tombstones included; ``None``: not known.
        complete: whether all writers were recorded; otherwise holes in chains are nobody's fault,
            and neither is absence.
    """
    by_record: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.verb != "add":
            by_record[operation.record].append(operation)
    for record_id, record in (final or {}).items():
        by_record[record_id].append(_last_look(record))
    problems: list[Problem] = []
    for record_id, mine in by_record.items():
        mine.sort(key=lambda operation: operation.invoked)
        chain = _Chain(record_id, mine, problems)
        chain.place_writes()
        chain.check_order(complete)
        if complete:
            chain.check_holes()
        if final is not None:
            chain.check_end(final.get(record_id))
    return problems


def _last_look(record: Record) -> Operation:
    return Operation(
        process="the end",
        store="",
        verb="load",
        record=record.id,
        invoked=NEVER,
        ended=NEVER,
        outcome="ok",
        version=record.version,
        seen=content_of(record),
    )


class _Chain:
    """The versions of one record, as its history tells them."""

    def __init__(self, record: str, operations: list[Operation], problems: list[Problem]) -> None:
        self.record = record
        self.operations = operations
        self.problems = problems
        self.placed: dict[int, _Logical] = {}
        self.floating: list[_Logical] = []
        self.maybe: list[_Logical] = []
        self.contents: dict[int, str] = {}
        self.top = 0

    def place_writes(self) -> None:
        """Give each write the version that its answers prove, and each version its content."""
        for operation in self.operations:
            if operation.version:
                self._content(operation.version, operation.seen)
        for write in _logical(self.operations):
            if len(write.versions) > 1:
                self._say("twice", f"{write} took effect as versions {sorted(write.versions)}")
            for version in write.versions:
                other = self.placed.setdefault(version, write)
                if other is not write:
                    self._say("version", f"{version} was given to {other}, and to {write}")
                self._content(version, write.first.content)
            if not write.versions and write.acknowledged:
                self.floating.append(write)
            elif write.possible and not write.acknowledged:
                self.maybe.append(write)
        self.top = max(self.contents, default=0)
        for version, write in self.placed.items():
            self._after(version, write)

    def check_order(self, complete: bool) -> None:
        """Nobody sees less than what had been seen or acknowledged before, nor the future."""
        ends = sorted((o for o in self.operations if o.ended < NEVER), key=lambda o: o.ended)
        ended = iter(ends)
        following = next(ended, None)
        floor = 0
        for operation in self.operations:
            while following is not None and following.ended < operation.invoked:
                floor = max(floor, following.version)
                following = next(ended, None)
            if operation.version:
                self._check_sight(operation, floor)
            elif operation.outcome == "absent" and complete:
                self._check_absence(operation, floor)

    def check_holes(self) -> None:
        """Each version has a write; each acknowledged write a version."""
        # Who expects a certain version fits one hole only, so they choose first.
        open_ends = sorted(self.floating + self.maybe, key=lambda write: write.expects(0))
        for version in range(1, self.top + 1):
            if version in self.placed:
                continue
            write = next((w for w in open_ends if self._fits(w, version)), None)
            if write is None:
                self._say("gap", f"no write explains version {version} of {self.top}")
            else:
                open_ends.remove(write)
                self.contents.setdefault(version, write.first.content)
        for write in self.floating:
            if write in open_ends:
                self._say("lost", f"{write} was acknowledged and has no place in the chain")

    def check_end(self, final: Record | None) -> None:
        """What stands is the end of the chain."""
        stands = 0 if final is None else final.version
        for version in range(stands + 1, self.top + 1):
            if version in self.placed:
                self._say("lost", f"{self.placed[version]}: version {version}, {stands} stands")

    def _content(self, version: int, content: str) -> None:
        if content and self.contents.setdefault(version, content) != content:
            known = self.contents[version]
            self._say("version", f"{version} was seen as {known} and as {content}")

    def _after(self, version: int, write: _Logical) -> None:
        """A write comes right after what it expects."""
        before = self.contents.get(version - 1)
        if write.expects(version - 1) and version > 1:
            if before == TOMBSTONE:
                self._say("resurrected", f"{write} stands on a tombstone as version {version}")
        elif not write.expects(0):
            self._say("blind", f"{write} became version {version}")
        elif version > 1 and before not in (None, TOMBSTONE):
            self._say("blind", f"{write} became version {version}, over what stood")

    def _fits(self, write: _Logical, version: int) -> bool:
        before = self.contents.get(version - 1)
        follows = (version > 1 and write.expects(version - 1) and before != TOMBSTONE) or (
            write.expects(0) and (version == 1 or before in (None, TOMBSTONE))
        )
        return follows and self.contents.get(version) in (None, write.first.content)

    def _check_sight(self, operation: Operation, floor: int) -> None:
        seen = f"{operation.process} saw version {operation.version} ({operation.verb})"
        if operation.version < floor:
            self._say("stale", f"{seen}, after {floor} had been seen")
        write = self.placed.get(operation.version)
        if write is not None and operation.ended < write.invoked:
            self._say("future", f"{seen} before {write} was asked for")
        if operation.outcome == "conflict" and operation.version == operation.expected:
            self._say("spurious", f"{seen}, which it had expected")

    def _check_absence(self, operation: Operation, floor: int) -> None:
        """Nothing stood at some moment between the call and the answer."""
        if floor == 0 or self.contents.get(floor) == TOMBSTONE:
            return
        for write in itertools.chain(set(self.placed.values()), self.floating, self.maybe):
            later = not write.versions or max(write.versions) > floor
            if write.first.verb == "delete" and later and write.invoked < operation.ended:
                return
        self._say("absent", f"{operation.process} saw nothing ({operation.verb}), {floor} stood")

    def _say(self, kind: str, text: str) -> None:
        self.problems.append(Problem(kind, self.record, text))


def _logical(operations: Sequence[Operation]) -> list[_Logical]:
    """The writes of one record, attempts with one origin as one."""
    grouped: dict[str, list[Operation]] = {}
    for number, operation in enumerate(operations):
        if operation.verb in ("save", "delete"):
            grouped.setdefault(operation.origin or f"#{number}", []).append(operation)
    writes = [_Logical(attempts) for attempts in grouped.values()]
    for write in writes:
        for attempt in write.attempts:
            if attempt.outcome == "ok":
                write.acknowledged = True
                written = attempt.seen == attempt.content and not attempt.repeat
                first = not attempt.origin or attempt.expected in (0, attempt.version - 1)
                if written and first:
                    write.versions.add(attempt.version)
                elif attempt.expected:
                    # A repetition is answered with what stands now; versions tell where it went.
                    write.versions.add(attempt.expected + 1)
            elif attempt.outcome == "unknown":
                write.possible = True
        if write.first.origin and any(o.outcome in REFUSALS for o in write.attempts):
            # With an origin, whoever asks again is told the truth about the first time.
            write.possible = False
    return writes


def acknowledgements(operations: Iterable[Operation]) -> list[Operation]:
    """The history without what reads and conflicts saw.

    A master shows what its replicas do not have yet. If it dies, nobody will see that again: of a
    failover, only what was acknowledged after WAIT is promised.
    """
    return [
        replace(operation, version=0, seen="", outcome="refused")
        if operation.outcome in ("conflict", "absent")
        else operation
        for operation in operations
        if operation.verb != "load"
    ]


def of_store(operations: Iterable[Operation], store: str) -> list[Operation]:
    """The operations on one store."""
    return [operation for operation in operations if operation.store == store]


def complain(problems: Sequence[Problem], most: int = 20) -> str:
    """The problems, for people; a long list is cut."""
    lines = [f"{p.kind}: {p.record}: {p.text}" for p in problems[:most]]
    if len(problems) > most:
        lines.append(f"... {len(problems) - most} more")
    return "\n".join(lines)
