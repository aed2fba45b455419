"""The merge of whole documents."""

from __future__ import annotations

from typing import Any

from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory.merging.maps import DEFAULT
from secondlook.shared.memory.merging.rule import Rule, Sides
from secondlook.shared.memory.record import Document, decode, encode


def merge(
    base: Document,
    ours: Document,
    theirs: Document,
    rule: Rule = DEFAULT,
    record_id: str = "",
) -> dict[str, Any]:
    """Both sides' changes since their common ancestor. A pure function.

    A document that one side left as it was gives exactly the other side. The result does not
    depend on which side is called ours, and shares nothing with the arguments.

    Args:
        base: the common ancestor; empty where there was none.
        ours: what this side made of it.
        theirs: what the other side made of it.
        rule: of the document's kind, see `secondlook.shared.memory.kinds.rule_for`.
        record_id: named in the conflict.

    Raises:
        MergeConflict: no rule decides, or both sides together outgrow what a record may hold.
        InvalidInput: one of the three is not a document that a store accepts.
    """
    before, one, other = encode(base), encode(ours), encode(theirs)
    if one == before:
        return decode(other)
    if other == before:
        return decode(one)
    # Decoded: rules see dicts and lists, whatever mappings and sequences they were made of.
    sides = Sides("", decode(before), decode(one), decode(other), record_id)
    try:
        return decode(encode(rule.unite(sides)))
    except InvalidInput as error:
        raise sides.conflict() from error
