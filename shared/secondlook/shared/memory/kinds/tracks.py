"""What the cloud said about objects and places of a camera."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from secondlook.shared.memory.kinds.kind import Count, Name, Score
from secondlook.shared.memory.kinds.place import Place
from secondlook.shared.memory.merging import Counter, Latest, Rule

MAX_EMBEDDING = 1024

_Side = Annotated[float, Field(ge=-1e6, le=1e6)]
Correction = Annotated[tuple[_Side, _Side, _Side, _Side], Field(strict=False)]
Embedding = Annotated[
    tuple[Annotated[float, Field(ge=-1e9, le=1e9)], ...],
    Field(strict=False, min_length=1, max_length=MAX_EMBEDDING),
]


class TrackVerdict(Place):
    """The last verdict about an object. Of two, the newer stands, as a whole.

    Attributes:
        class_name: what it is; where refuted, what the light model had called it.
        score: the heavy model's score; 0 where refuted.
        refuted: the cloud saw nothing there.
        confirmations: verdicts in a row that said the same.
        correction: how far the cloud's box is from the light model's, each side in widths or
            heights of the latter.
        embedding: a description of the object by which others may recognise it.
    """

    KIND: ClassVar[str] = "verdict"
    RULE: ClassVar[Rule] = Latest("at_s")

    class_name: Name
    score: Score
    refuted: bool
    confirmations: Count = 0
    correction: Correction = (0.0, 0.0, 0.0, 0.0)
    embedding: Embedding | None = None


class FalsePositive(Place):
    """A place where the light model sees what is not there. The newer look stands; ``seen`` adds.

    Attributes:
        seen: how many verdicts have refuted it.
    """

    KIND: ClassVar[str] = "false-positive"
    RULE: ClassVar[Rule] = Latest("at_s", apart={"seen": Counter()})

    seen: Count = 1
