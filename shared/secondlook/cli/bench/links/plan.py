"""What is played over which link, and the settings of both tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from secondlook.cli.demo.processes import as_toml
from secondlook.shared.errors import InvalidInput
from secondlook.shared.measure.link import LINKS, OUTAGE, OUTAGE_S, Link, link_named
from secondlook.shared.sim import StreetCamera, StreetConfig

WINDOW_S = 60.0
"""The stretch over which the issue of bytes is judged: any so many seconds."""

STILL = "still"
_STILL_SEED = 31
_STILL_PICTURES = 3
_STILL_S = 20.0
"""How long each still picture is shown, seconds."""

SCENES = {
    "street": "seed=7&hour=12",
    "yard": "seed=11&density=0.1&hour=14",
    "crowd": "seed=3&density=2.5&hour=10",
    "night": "seed=5&hour=23",
    STILL: "",
    "rain": "seed=9&rain=0.9&hour=16",
    "rush": "seed=21&density=1.8&hour=8",
    "shaky": "seed=13&shake=3&noise=2",
}
"""Eight cameras that could hardly differ more. ``still`` shows a few pictures, each for a while."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera of a run.

    Attributes:
        name: its id.
        url: where its frames come from.
        simulated: whether what is really there is known, frame by frame.
    """

    name: str
    url: str
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """One run over one link.

    Attributes:
        link: what lies between the tiers; its outage, if any, is counted from when all cameras
            have answered a frame.
        seconds: how long, from then on.
        cameras: what is played.
        fps: analysed frames a second of each camera.
        kb_per_s: budget of the site, KB (1000 bytes) a second.
        burst_s: budget that may be saved up, seconds.
        audit_rate: share of frames that are audited.
        promise: whether the promised miss rate is enforced, at any price.
        carrier: how regions travel: ``auto``, ``canvas`` or ``mosaic``.
        edge_model, cloud_model: file or ``zoo:NAME``.
        seed: of the link's jitter and loss, and of the coin for audits.
    """

    link: Link
    seconds: float
    cameras: tuple[Camera, ...]
    fps: float
    kb_per_s: float
    burst_s: float = 10.0
    audit_rate: float = 0.02
    promise: bool = False
    carrier: str = "auto"
    edge_model: str = "zoo:street_light"
    cloud_model: str = "zoo:street_heavy"
    seed: int = 0

    def allowed(self, seconds: float = WINDOW_S) -> float:
        """Most bytes that may go up within any so many seconds."""
        return 1000 * self.kb_per_s * (seconds + self.burst_s)


def link_for(name: str, seconds: float) -> Link:
    """A preset for a run of ``seconds``.

    ``outage`` is ``4g`` cut for 60 s (half of the run where that is shorter), after a third of what
    is left: it takes longer to recover than to begin.

    Raises:
        InvalidInput: there is no such preset.
    """
    if name != OUTAGE:
        return link_named(name, seconds)
    hole_s = min(OUTAGE_S, seconds / 2)
    cut = LINKS["4g"].with_outage((seconds - hole_s) / 3, hole_s)
    return Link(
        OUTAGE,
        cut.up_kbit_s,
        cut.down_kbit_s,
        cut.rtt_s,
        cut.jitter_s,
        cut.loss,
        cut.down_from_s,
        cut.down_for_s,
        f"{cut.source}; cut for {hole_s:.0f} s",
    )


def scenes(count: int, fps: float, folder: Path) -> tuple[Camera, ...]:
    """The first ``count`` of `SCENES`; beyond eight they come again as other streets. Blocking.

    Args:
        count: how many cameras.
        fps: frames a second.
        folder: where still pictures may be written.

    Raises:
        InvalidInput: there is none.
    """
    if count < 1:
        raise InvalidInput("no camera is given; at least one is expected")
    found = []
    for number in range(count):
        turn, index = divmod(number, len(SCENES))
        name = list(SCENES)[index]
        called = f"{name}{turn + 1}" if turn else name
        if name == STILL:
            found.append(Camera(called, _stills(folder / called, fps, _STILL_SEED + turn)))
            continue
        said = StreetConfig.from_url(f"sim://street?{SCENES[name]}")
        url = (
            f"sim://street?{SCENES[name].replace(f'seed={said.seed}', f'seed={said.seed + turn}')}"
        )
        found.append(Camera(called, f"{url}&size=640x360&fps={fps:g}", simulated=True))
    return tuple(found)


def given(urls: Sequence[str]) -> tuple[Camera, ...]:
    """Cameras of one's own, ``ID=URL``.

    Raises:
        InvalidInput: one has no id.
    """
    found = []
    for text in urls:
        name, equals, url = text.partition("=")
        if not equals or not name.replace("-", "").replace("_", "").isalnum():
            raise InvalidInput(f"camera {text!r}: ID=URL is expected, such as gate=clip.mp4")
        found.append(Camera(name, url))
    return tuple(found)


def cloud_settings(plan: Plan) -> str:
    """``cloud.toml``."""
    return as_toml(
        {
            "server": {"host": "127.0.0.1", "port": 0},
            "memory": {"url": "sqlite:///:memory:"},
            "metrics": {"host": "127.0.0.1", "port": 0},
            "log": {"level": "warning"},
        },
        {"models": [{"name": "heavy", "path": plan.cloud_model, "threads": 1}]},
    )


def edge_settings(plan: Plan, address: str, scratch: Path) -> str:
    """``edge.toml``: what a site would run, with everything it keeps in ``scratch``."""
    trust: dict[str, Any] = {"audit_rate": plan.audit_rate, "seed": plan.seed}
    if plan.promise:
        trust |= {"enforce": True, "without": "send_all"}
    return as_toml(
        {
            "detector": {"model": plan.edge_model, "threads": 1},
            "regions": {"carrier": plan.carrier},
            "trust": trust,
            "budget": {"kb_per_s": plan.kb_per_s, "burst_s": plan.burst_s},
            "memory": {"path": str(scratch / "memory.db")},
            "decisions": {"folder": str(scratch / "decisions")},
            "uplink": {"address": address},
            "uplink.spool": {"path": str(scratch / "spool")},
            "sinks": {"queue": 65_536},
            "run": {"status_every_s": 5.0, "drain_timeout_s": 15.0},
            "metrics": {"port": 0},
            "log": {"format": "json"},
        },
        {"cameras": [_camera(plan, one) for one in plan.cameras], "sinks.jsonl": [{"path": "-"}]},
    )


def _camera(plan: Plan, camera: Camera) -> dict[str, Any]:
    said: dict[str, Any] = {"id": camera.name, "url": camera.url, "pacing": "realtime"}
    if not camera.simulated:
        said["loop"] = True
        said["analysis_fps"] = plan.fps
        if Path(camera.url).is_dir():
            said["fps"] = plan.fps
    return said


def _stills(folder: Path, fps: float, seed: int) -> str:
    """A folder that plays like a camera before which next to nothing happens."""
    folder.mkdir(parents=True, exist_ok=True)
    street = StreetCamera(StreetConfig(seed=seed, width=640, height=360, hour=12.0))
    each = max(1, round(fps * _STILL_S))
    for number in range(_STILL_PICTURES):
        picture = street.draw(number * 100).image
        done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        assert done
        for repeat in range(each):
            (folder / f"{number * each + repeat:05d}.jpg").write_bytes(data.tobytes())
    return str(folder)
