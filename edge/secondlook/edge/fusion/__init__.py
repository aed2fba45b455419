"""What verdicts change: beliefs about tracks, and the answers that follow from them."""

from secondlook.edge.fusion.belief import Belief
from secondlook.edge.fusion.compose import compose
from secondlook.edge.fusion.history import Entry, History, Unseen
from secondlook.edge.fusion.reading import Reading, read
from secondlook.edge.fusion.vocabulary import Vocabulary

__all__ = [
    "Belief",
    "Entry",
    "History",
    "Reading",
    "Unseen",
    "Vocabulary",
    "compose",
    "read",
]
