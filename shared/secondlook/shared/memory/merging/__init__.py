"""Three-way merge of documents, by field, from their common ancestor."""

from secondlook.shared.memory.merging.document import merge
from secondlook.shared.memory.merging.lists import Appended, KeyedList, UnionSet
from secondlook.shared.memory.merging.maps import DEFAULT, Each, Fields, Latest
from secondlook.shared.memory.merging.numbers import Counter, Grid, Largest, Smallest
from secondlook.shared.memory.merging.rule import ABSENT, Rule, Sides, Undecided

__all__ = [
    "ABSENT",
    "DEFAULT",
    "Appended",
    "Counter",
    "Each",
    "Fields",
    "Grid",
    "KeyedList",
    "Largest",
    "Latest",
    "Rule",
    "Sides",
    "Smallest",
    "Undecided",
    "UnionSet",
    "merge",
]
