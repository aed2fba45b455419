"""Does what clients added add up, and do replicas agree? That is what people care about.

The versions behind it: `support.history_check`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from secondlook.shared.memory.merging import Counter, Fields, Latest, UnionSet
from secondlook.shared.memory.record import Document, Record
from support.history import TOMBSTONE, Operation, digest
from support.history_check import Problem

LEDGER = Fields({"count": Counter(), "members": UnionSet(), "state": Latest("stamp")})
"""How two changes of such a document are merged."""
MEMBER = re.compile(r".+\+(\d+)")


def member(name: str, amount: int) -> str:
    """A member of a set that tells how much was added to the counter together with it."""
    return f"{name}+{amount}"


def added(data: Document, name: str, stamp: float) -> dict[str, Any]:
    """The document with one more member, its amount, and the register at its newest."""
    members = list(data.get("members", ()))
    if name in members:
        return dict(data)
    mine = {"value": name, "stamp": stamp}
    return {
        "count": data.get("count", 0) + _amount(name),
        "members": [*members, name],
        "state": max(mine, data.get("state", mine), key=lambda state: float(state["stamp"])),
    }


def check_ledger(operations: Iterable[Operation], final: Mapping[str, Record]) -> list[Problem]:
    """Problems of clients' ``add`` operations, each of which adds a member and its amount.

    Documents are made by `added`. Kinds: ``lost`` (an acknowledged member is not there),
    ``invented`` (nobody added this member), ``count`` (the counter is not the sum of the members'
    amounts, so that something was added twice, or in part), ``doubled`` (a member that is there
    twice), ``register`` (it is older than what was acknowledged, or not what was set).
    """
    asked: dict[str, dict[str, float]] = defaultdict(dict)
    acknowledged: dict[str, set[str]] = defaultdict(set)
    for operation in operations:
        if operation.verb == "add":
            asked[operation.record][operation.content] = operation.stamp
            if operation.outcome == "ok":
                acknowledged[operation.record].add(operation.content)
    problems: list[Problem] = []
    for record_id in asked:
        record = final.get(record_id)
        data = {} if record is None else record.data
        listed = data.get("members", [])
        members = set(listed)
        if len(listed) != len(members):
            problems.append(Problem("doubled", record_id, f"{len(listed) - len(members)} members"))
        problems += [
            Problem("lost", record_id, f"{name} was acknowledged")
            for name in sorted(acknowledged[record_id] - members)
        ]
        problems += [
            Problem("invented", record_id, f"{name} was never added")
            for name in sorted(members - asked[record_id].keys())
        ]
        total = sum(_amount(name) for name in members)
        if data.get("count", 0) != total:
            text = f"it is {data.get('count', 0)}, its members add up to {total}"
            problems.append(Problem("count", record_id, text))
        newest = max((asked[record_id][name] for name in acknowledged[record_id]), default=0.0)
        state = data.get("state", {"value": "", "stamp": 0.0})
        if asked[record_id].get(state["value"], 0.0) != state["stamp"] or state["stamp"] < newest:
            problems.append(Problem("register", record_id, f"it is {state}, {newest} was set"))
    return problems


def _amount(name: str) -> int:
    found = MEMBER.fullmatch(name)
    return int(found[1]) if found else 0


def check_replicas(
    cloud: Mapping[str, Record], replicas: Mapping[str, Mapping[str, Record]]
) -> list[Problem]:
    """Where replicas differ from the store of record in content; kind ``diverged``.

    What one side has never had is as good as what was deleted on the other.
    """
    problems: list[Problem] = []
    for name, replica in replicas.items():
        for record_id in sorted(cloud.keys() | replica.keys()):
            there, here = _standing(cloud.get(record_id)), _standing(replica.get(record_id))
            if there != here:
                problems.append(Problem("diverged", record_id, f"{name}: {here}, cloud: {there}"))
    return problems


def _standing(record: Record | None) -> str:
    return TOMBSTONE if record is None else digest(record.data, record.deleted)
