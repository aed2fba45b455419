"""Secondlook for real: the daemon and the service as processes, a counting proxy between them."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from prometheus_client.parser import text_string_to_metric_families

from secondlook.cli.demo.playback import Playback
from secondlook.cli.demo.processes import Tier, as_toml, running, whole_lines
from secondlook.shared.measure import CountingProxy, Traffic

CAMERA = "street"
SPEED = 2.0
"""How many times faster than real time the street is played."""


@dataclass(frozen=True, slots=True)
class Street:
    """What is played.

    Attributes:
        url: of the simulated street.
        analysis_fps: analysed frames a second of its time.
        frames: how many that gives.
        edge_model, cloud_model: file or ``zoo:NAME``.
        audit_seed: of the coin for audits.
    """

    url: str
    analysis_fps: float
    frames: int
    edge_model: str
    cloud_model: str
    audit_seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """What came out.

    Attributes:
        playback: everything that was published.
        traffic: what passed between the tiers.
        calls: escalations that reached the service.
        verdicts: those that got one.
    """

    playback: Playback
    traffic: Traffic
    calls: int
    verdicts: int


async def play(
    street: Street, out: Path, scratch: Path, on_answer: Callable[[Playback], None]
) -> Live:
    """Play the street through both tiers.

    Args:
        street: what is played.
        out: folder that gets ``events.jsonl`` and ``annotated.mp4``.
        scratch: folder for settings and logs.
        on_answer: called after each event.

    Raises:
        Unavailable: a process could not start or failed.
    """
    cloud_file, edge_file = scratch / "cloud.toml", scratch / "edge.toml"
    await anyio.Path(cloud_file).write_text(cloud_settings(street))
    async with (
        running(["cloud", "serve", "--config", str(cloud_file)], scratch) as cloud,
        CountingProxy("127.0.0.1", int(cloud.ready["port"])).running() as proxy,
    ):
        await anyio.Path(edge_file).write_text(edge_settings(street, proxy.target, out))
        playback = Playback()
        edge_run = ["edge", "run", "--config", str(edge_file), "--no-progress"]
        async with running(edge_run, scratch, pipe=True) as edge:
            assert edge.process.stdout is not None
            async for line in whole_lines(edge.process.stdout):
                playback.take(line)
                on_answer(playback)
            if await edge.process.wait() != 0:
                raise await edge.failure()
        calls, verdicts = await anyio.to_thread.run_sync(_counted, cloud)
        return Live(playback, proxy.traffic, calls, verdicts)


def cloud_settings(street: Street) -> str:
    """``cloud.toml`` of the demo."""
    return as_toml(
        {
            "server": {"host": "127.0.0.1", "port": 0},
            "memory": {"url": "sqlite:///:memory:"},
            "metrics": {"host": "127.0.0.1", "port": 0},
        },
        {"models": [{"name": _name(street.cloud_model), "path": street.cloud_model}]},
    )


def edge_settings(street: Street, address: str, out: Path) -> str:
    """``edge.toml`` of the demo.

    The street is played faster than real time, but not as fast as the tiers can: a verdict would
    come later in the street's own time than it ever does live. Where the machine is too slow, the
    street waits.
    """
    return as_toml(
        {
            "detector": {"model": street.edge_model},
            "trust": {"seed": street.audit_seed},
            "memory": {"enabled": False},
            "decisions": {"enabled": False},
            "uplink": {
                "address": address,
                "max_in_flight": 2,
                "queue": 1,
                "overflow": "block",
                "timeout_s": 60.0,
            },
            "sinks": {"queue": 4096},
            "run": {"drain_timeout_s": 60.0},
            "metrics": {"enabled": False},
        },
        {
            "cameras": [
                {
                    "id": CAMERA,
                    "url": street.url,
                    "analysis_fps": street.analysis_fps,
                    "pacing": "realtime",
                    "speed": SPEED,
                    "overflow": "block",
                }
            ],
            "sinks.jsonl": [{"path": "-"}, {"path": str(out / "events.jsonl")}],
            "sinks.video": [{"path": str(out / "annotated.mp4")}],
        },
    )


def _name(model: str) -> str:
    stem = Path(model.removeprefix("zoo:")).stem
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in stem)
    return kept.lstrip("._-")[:128] or "model"


def _counted(cloud: Tier) -> tuple[int, int]:
    """Escalations that reached the service, and verdicts it gave, by its own metrics. Blocking."""
    address = f"http://127.0.0.1:{int(cloud.ready['metrics_port'])}/metrics"
    with urllib.request.urlopen(address, timeout=10) as answer:
        text = answer.read().decode()
    calls = verdicts = 0.0
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "secondlook_cloud_calls_total":
                calls += sample.value * sample.labels["method"].endswith("Escalate")
            elif sample.name == "secondlook_cloud_verdict_seconds_count":
                verdicts += sample.value
    return int(calls), int(verdicts)
