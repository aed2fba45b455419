"""What the edge daemon said while it ran: its events, its metrics, and its log."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from secondlook.cli.demo.playback import Playback

_DEAR = ("no budget", "not worth their price", "more are unsure")
"""What the gate says of a frame on which the budget kept something from being asked."""


@dataclass(slots=True)
class CameraHeard:
    """The events of one camera.

    Attributes:
        playback: what it said about each frame.
        captured_at: of each answered frame, seconds since the Unix epoch, in the order of answers.
        purposes: why it asked, counted.
        dear: frames on which the budget kept something from being asked.
        revised_at: when each revision was published, seconds since the Unix epoch.
    """

    playback: Playback = field(default_factory=Playback)
    captured_at: list[float] = field(default_factory=list)
    purposes: Counter[str] = field(default_factory=Counter)
    dear: int = 0
    revised_at: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Heard:
    """All cameras, as their lines come."""

    cameras: dict[str, CameraHeard] = field(default_factory=lambda: defaultdict(CameraHeard))
    answers: int = 0

    def take(self, line: bytes) -> None:
        """The next line of the edge's output.

        Raises:
            InvalidInput: it is not an event of the edge.
        """
        said = json.loads(line)
        camera = self.cameras[said["camera"]]
        camera.playback.take(line)
        if said["type"] == "revision":
            camera.revised_at.append(said["captured_at"] + said["latency_s"])
            return
        self.answers += 1
        camera.captured_at.append(said["captured_at"])
        decision = said["decision"]
        if decision["regions"]:
            camera.purposes[decision["purpose"]] += 1
        camera.dear += any(word in reason for reason in decision["reasons"] for word in _DEAR)


class Scrape:
    """The metrics at one moment."""

    def __init__(self, text: str) -> None:
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of that name (without ``secondlook_edge_``) and labels."""
        return sum(
            value
            for found, value in self._samples.get(f"secondlook_edge_{name}", ())
            if all(found.get(key) == wanted for key, wanted in labels.items())
        )

    def label(self, name: str, label: str, **labels: str) -> str:
        """Which value of ``label`` is 1 in an enumeration; empty where none is."""
        for found, value in self._samples.get(f"secondlook_edge_{name}", ()):
            if value == 1 and all(found.get(key) == wanted for key, wanted in labels.items()):
                return found[label]
        return ""


def scrape(port: int) -> Scrape:
    """Fetch ``/metrics``. Blocking.

    Raises:
        OSError: nobody answers.
    """
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        return Scrape(page.read().decode())


@dataclass(slots=True)
class Log:
    """What the log tells.

    Attributes:
        last: the last status line of each camera.
        shares: for each camera, its part of the budget of bytes as it was told now and then: KB a
            second, and why.
        outages: how long each outage was seen to last, seconds.
        changes: changes of trust: camera, state, reasons.
        problems: warnings and errors, by their event.
    """

    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    shares: dict[str, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    outages: list[float] = field(default_factory=list)
    changes: list[tuple[str, str, str]] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)


def read_log(lines: Iterable[str]) -> Log:
    """Read the edge's log (JSON lines; others are passed over)."""
    log = Log()
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        event = said.get("event")
        if said.get("level") in ("warning", "error"):
            log.problems[str(event)] += 1
        if event in ("status", "done") and said.get("budget") == "bytes" and "why" in said:
            log.shares[said["camera"]].append((said["per_s"] / 1000, said["why"]))
        elif event in ("status", "done") and "answers" in said:
            log.last[said["camera"]] = said
        elif event == "outage over":
            log.outages.append(float(said["lasted_s"]))
        elif event == "trust has changed":
            log.changes.append((said["camera"], said["after"], "; ".join(said["reasons"])))
    return log
