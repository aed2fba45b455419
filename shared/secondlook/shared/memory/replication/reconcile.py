"""What becomes of a record that stands on two sides. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from secondlook.shared.memory.merging import Rule, merge
from secondlook.shared.memory.record import encode
from secondlook.shared.memory.replication.values import State


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with the local record.

    Attributes:
        state: what it becomes; ``None``: deleted.
        write: whether that is anything new here.
        clean: whether both sides are the same then; otherwise it has to be sent.
    """

    state: State | None
    write: bool
    clean: bool


def reconcile(
    base: State | None,
    ours: State | None,
    theirs: State | None,
    rule: Rule,
    *,
    dirty: bool,
) -> Decision:
    """Unite both sides. Where one side deleted what the other one changed, the change stands.

    Args:
        base: the common ancestor; ``None``: there is none, or it is absent.
        ours: what stands here; ``None``: nothing.
        theirs: what stands there; ``None``: nothing.
        rule: how documents of this kind are merged.
        dirty: whether this side has written since the ancestor; that side has, or nothing stands
            there.

    Raises:
        MergeConflict: no rule decides.
    """
    if not dirty:
        return Decision(theirs, write=not same(ours, theirs), clean=True)
    if theirs is None:
        return Decision(ours, write=False, clean=ours is None)
    if ours is None:
        return Decision(theirs, write=True, clean=True)
    # Who wants it longest decides how long it lives.
    ends = (ours.expires_at, theirs.expires_at)
    expires_at = None if None in ends else max(end for end in ends if end is not None)
    data = merge({} if base is None else base.data, ours.data, theirs.data, rule)
    united = State(data, expires_at)
    return Decision(united, write=not same(united, ours), clean=same(united, theirs))


def same(one: State | None, other: State | None) -> bool:
    """Whether two sides stand alike; 1, 1.0 and true are three."""
    if one is None or other is None:
        return one is other
    return one.expires_at == other.expires_at and encode(one.data) == encode(other.data)
