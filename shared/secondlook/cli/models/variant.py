"""Makes a variant of a model, measures it, and lets it in or not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import anyio
import anyio.to_thread

from secondlook.cli.models.agreement import Agreement, measure
from secondlook.cli.models.pictures import Pictures, read_pictures
from secondlook.cli.models.precision import tools, write_fp16, write_int8
from secondlook.cli.price.session import Watch
from secondlook.cloud.backends.onnx_backend import OnnxBackend, open_onnx
from secondlook.cloud.repository.config import MAIN_VARIANT, ModelConfig, Release
from secondlook.cloud.repository.variants import Measured, write_record
from secondlook.shared.detect.declaration import SIDECARS
from secondlook.shared.detect.network_detector import NetworkDetector
from secondlook.shared.detect.protocol import Image
from secondlook.shared.detect.session import read_digest
from secondlook.shared.errors import InvalidInput, InvalidModel, ModelFailure


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted.

    Attributes:
        model: the network in its own precision.
        to: ``int8`` or ``fp16``.
        out: the variant's file, in the same folder.
        images: folders, clips, streams.
        fps: pictures a second of a clip.
        count: most pictures of each source.
        min_f1: least agreement with which the variant is let in.
        score: boxes below are not compared.
        providers: what runs both; see `secondlook.shared.detect.providers.rungs`.
        threads: threads of each network; 0 is one per usable core.
    """

    model: Path
    to: str
    out: Path
    images: tuple[str, ...]
    fps: float
    count: int
    min_f1: float
    score: float
    providers: tuple[str, ...]
    threads: int


@dataclass(frozen=True, slots=True)
class Made:
    """A variant that was measured.

    Attributes:
        measured: as it stands in the record, or would.
        agreement: more of the same.
        accepted: whether it agrees well enough, and lies in its place.
    """

    measured: Measured
    agreement: Agreement
    accepted: bool


async def make_variant(order: Order) -> Made:
    """Make, measure, and put in place where it agrees well enough; else leave nothing behind.

    Raises:
        InvalidInput: too few pictures, or no boxes on them to agree about.
        InvalidModel: no detector, or the tools cannot make the variant.
        SourceError: a source cannot be opened.
    """
    with Watch() as progress:
        progress.begin("reading pictures", None)
        pictures = await read_pictures(
            order.images, fps=order.fps, count=order.count, on_picture=progress.done
        )
        return await anyio.to_thread.run_sync(_make, order, pictures, progress)


def _make(order: Order, pictures: Pictures, progress: Watch) -> Made:
    with tempfile.TemporaryDirectory(prefix="secondlook-quantize-") as name:
        folder = Path(name)
        base, base_detector = _open(order, order.model, MAIN_VARIANT)
        made, left_out = _written(order, base_detector, pictures.calibration, folder, progress)
        # What is said of the base beside it is said of the variant as well.
        for suffix in SIDECARS:
            if order.model.with_suffix(suffix).is_file():
                shutil.copy(order.model.with_suffix(suffix), made.with_suffix(suffix))
        variant, variant_detector = _open(order, made, order.to)
        progress.begin("measuring", len(pictures.held_out))
        try:
            agreement = measure(
                base_detector,
                variant_detector,
                pictures.held_out,
                score=order.score,
                on_picture=progress.done,
            )
        except ModelFailure as error:
            raise InvalidModel(f"{order.model} in {order.to}: {error.message}") from error
        base.close()
        variant.close()
        if not agreement.boxes:
            raise InvalidInput(
                f"the model finds nothing of a score of {order.score:g} on these pictures, so "
                "nothing can be compared",
                remedy="give pictures with objects, or a lower --score",
            )
        measured = Measured(
            file=order.out.name,
            sha256=read_digest(made),
            base=order.model.name,
            base_sha256=read_digest(order.model),
            f1=agreement.f1,
            min_f1=order.min_f1,
            score=order.score,
            images=agreement.images,
            boxes=agreement.boxes,
            speed=agreement.speed,
            provider=base_detector.info.provider,
            left_out=left_out,
            tools=tools(),
            made=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        accepted = agreement.f1 >= order.min_f1
        if accepted:
            fresh = order.out.with_name(f".{order.out.name}.new")
            shutil.copyfile(made, fresh)
            fresh.replace(order.out)
            write_record(order.out.parent, order.to, measured)
        return Made(measured, agreement, accepted)


def _written(
    order: Order,
    detector: NetworkDetector,
    calibration: Sequence[Image],
    folder: Path,
    progress: Watch,
) -> tuple[Path, int]:
    made = folder / order.out.name
    if order.to == "fp16":
        progress.begin("writing halves", None)
        return made, write_fp16(order.model, made)
    progress.begin("calibrating", len(calibration))
    feeds = [detector.prepare(image) for image in calibration]
    return made, write_int8(order.model, made, folder, feeds, progress.done)


def _open(order: Order, file: Path, variant: str) -> tuple[OnnxBackend, NetworkDetector]:
    config = ModelConfig(order.model.stem, "onnxruntime", parameters={"task": "detect"})
    release = Release(config, "", file, variant)
    backend = open_onnx(
        release, providers=order.providers, device=0, threads=order.threads, spin=False
    )
    detector = backend.detector
    if not isinstance(detector, NetworkDetector):
        raise InvalidModel(f"{file} is no detector; agreement is measured in boxes")
    return backend, detector
