"""From settings to what has to be looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from secondlook.cli.doctor.address import parse_address
from secondlook.cli.doctor.camera import CameraVisit
from secondlook.cli.doctor.chain import Check, Report, run_chain
from secondlook.cli.doctor.cloud import CloudVisit
from secondlook.cli.doctor.machine import check_writable
from secondlook.cli.doctor.model import ModelVisit
from secondlook.cli.doctor.redis_server import RedisVisit
from secondlook.cli.doctor.tls import Tls
from secondlook.cli.doctor.visit import Visit
from secondlook.shared.detect import Detector, load_detector
from secondlook.shared.errors import InvalidModel
from secondlook.shared.zoo import model_file

if TYPE_CHECKING:
    from secondlook.cloud.serving_settings import ModelSettings as CloudModel
    from secondlook.cloud.settings import CloudSettings
    from secondlook.edge.settings import DetectorSettings, EdgeSettings

SQLITE = "sqlite:///"
IN_MEMORY = ":memory:"
STDOUT = "-"
CAMERA = "{camera}"


@dataclass(frozen=True, slots=True)
class DiskVisit:
    """A look at one place on disk.

    Attributes:
        what: what is written there, ``"edge sink events.jsonl"``.
        path: the file, or the folder.
        is_folder: which of the two.
        timeout_s: longest wait; a network disk may hang.
    """

    what: str
    path: Path
    is_folder: bool
    timeout_s: float

    async def walk(self, report: Report) -> bool:
        """See `Visit`."""
        check = Check(
            f"disk: {self.what}",
            lambda name: check_writable(name, self.path, is_folder=self.is_folder),
            f"{self.path} does not answer",
            "a network disk hangs: see `mount` and the kernel's log",
        )
        return await run_chain([check], self.timeout_s, report)


def edge_visits(settings: EdgeSettings, timeout_s: float) -> list[Visit]:
    """What the edge daemon with these settings leans on: cameras, model, disks, the cloud."""
    visits: list[Visit] = [
        CameraVisit(camera.id, camera.url, camera, timeout_s) for camera in settings.cameras
    ]
    visits.append(
        ModelVisit(
            "edge model",
            _edge_loader(settings.detector),
            settings.detector.providers,
            _model_limit(timeout_s),
        )
    )
    visits += [
        DiskVisit(what, path, is_folder, timeout_s)
        for what, path, is_folder in _edge_places(settings)
    ]
    if settings.uplink.enabled:
        visits.append(_uplink_visit(settings, timeout_s))
    return visits


def cloud_visits(settings: CloudSettings, timeout_s: float) -> list[Visit]:
    """What the cloud service with these settings leans on: its models and its memory."""
    visits: list[Visit] = [
        ModelVisit(
            f"cloud model {model.name}",
            _cloud_loader(model),
            tuple(model.providers or ("auto",)),
            _model_limit(timeout_s),
        )
        for model in settings.models
    ]
    return visits + memory_visits("cloud memory", settings.memory.url, timeout_s)


def memory_visits(what: str, url: str, timeout_s: float) -> list[Visit]:
    """A look at a context memory, where there is something to look at."""
    if not url.startswith(SQLITE):
        return [RedisVisit(url, timeout_s)]
    path = url.removeprefix(SQLITE)
    return [] if path == IN_MEMORY else [DiskVisit(what, Path(path), False, timeout_s)]


def walk_to_cloud(target: str, ca: Path | None, model: str, timeout_s: float) -> Visit:
    """The way to a running cloud.

    Raises:
        InvalidInput: ``target`` is no address.
    """
    tls = None if ca is None else Tls(ca=ca)
    return CloudVisit(parse_address(target), tls, model, timeout_s)


def _uplink_visit(settings: EdgeSettings, timeout_s: float) -> Visit:
    uplink, tls = settings.uplink, None
    if uplink.tls.enabled:
        tls = Tls(uplink.tls.ca, uplink.tls.cert, uplink.tls.key, uplink.tls.server_name)
    # The first camera's name, so that a cloud which knows this device is asked what it will be.
    camera = settings.cameras[0].id
    return CloudVisit(parse_address(uplink.address), tls, uplink.model, timeout_s, camera=camera)


def _edge_places(settings: EdgeSettings) -> list[tuple[str, Path, bool]]:
    """What the daemon writes to: what, where, whether that is a folder."""
    sinks = [("JSON lines", sink.path) for sink in settings.sinks.jsonl if sink.path != STDOUT]
    sinks += [("video", sink.path) for sink in settings.sinks.video]
    places: dict[tuple[str, Path], tuple[str, Path, bool]] = {}
    for what, template in sinks:
        path = Path(template).expanduser().absolute()
        # A template makes one file a camera, all in the folder that holds them.
        is_folder = CAMERA in path.name
        place = Path(
            str(path.parent if is_folder else path).replace(CAMERA, settings.cameras[0].id)
        )
        places.setdefault((what, place), (f"{what} {place.name}", place, is_folder))
    return list(places.values())


def _edge_loader(detector: DetectorSettings) -> Callable[[], Detector]:
    def load() -> Detector:
        return load_detector(
            model_file(detector.model),
            names=detector.names,
            providers=detector.providers,
            threads=detector.threads,
        )

    return load


def _cloud_loader(model: CloudModel) -> Callable[[], Detector]:
    def load() -> Detector:
        from secondlook.cloud.models import lone_offer, open_release

        (backend,) = open_release(lone_offer(model).releases[0]).backends
        if backend.detector is None:
            backend.close()
            raise InvalidModel(f"{model.path} is no detector")
        return backend.detector

    return load


def _model_limit(timeout_s: float) -> float:
    # TensorRT builds its engines at the first load, which takes minutes on a small board.
    return max(60.0, timeout_s * 12)
