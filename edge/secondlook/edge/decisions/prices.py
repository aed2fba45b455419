"""What questions take on the wire and until their verdict, as far as a log can tell."""

from __future__ import annotations

from secondlook.edge.decisions.reading import Story
from secondlook.edge.gate.protocol import Choice

_OVERHEAD_BYTES = 200.0
"""What a question takes beside its picture, until the log tells."""
_LATENCY_S = 0.3
"""Time from a question to its verdict, until the log tells."""
_MEMORY = 0.95


class Prices:
    """What questions of one camera really take, learned from those that were packed."""

    def __init__(self) -> None:
        self.overhead_bytes = _OVERHEAD_BYTES
        self.latency_s = _LATENCY_S
        self._scale = {True: (0.0, 0.0), False: (0.0, 0.0)}

    def learn(self, story: Story) -> None:
        """A question of the log."""
        sent, verdict = story.sent, story.verdict
        if sent is None:
            return
        real, said = self._scale[story.frame.choice.whole_frame]
        self._scale[story.frame.choice.whole_frame] = (
            real * _MEMORY + sent.size,
            said * _MEMORY + story.frame.estimate(story.frame.choice),
        )
        for way in story.ways:
            if way.wire_bytes > sent.size:
                over = way.wire_bytes - sent.size
                self.overhead_bytes += (1 - _MEMORY) * (over - self.overhead_bytes)
        if verdict is not None and 0 < verdict.at_s - sent.at_s < 60:
            took_s = verdict.at_s - sent.at_s
            self.latency_s += (1 - _MEMORY) * (took_s - self.latency_s)

    def wire_bytes(self, story: Story, choice: Choice) -> float:
        """What a choice puts on the wire; what was packed is known."""
        if story.sent is not None and story.frame.asks_same(choice):
            for way in story.ways:
                if way.wire_bytes:
                    return float(way.wire_bytes)
            return story.sent.size + self.overhead_bytes
        real, said = self._scale[choice.whole_frame]
        scale = real / said if said > 0 and real > 0 else 1.0
        return story.frame.estimate(choice) * scale + self.overhead_bytes
