"""Checkpoints of ultralytics as a backend: the same boxes as ultralytics itself.

The networks come from its own YAML, with drawn weights: nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.networks import blank
from support.ultralytics_networks import SIZE, picture_of_blobs, sharpen

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared.detect import Detector
from secondlook.shared.errors import InvalidInput, InvalidModel, ModelFailure, Unavailable

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.ultralytics,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
]

HEIGHT, WIDTH = SIZE


def release(file: Path, **parameters: str) -> Release:
    said = {"size": f"{WIDTH}, {HEIGHT}", **parameters}
    return Release(ModelConfig("m", "ultralytics", max_batch=2, parameters=said), "1", file)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Any]]:
    """A file, and the network that it holds."""
    folder = tmp_path_factory.mktemp("ultralytics")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("YOLO_CONFIG_DIR", str(folder))
        patch.setenv("YOLO_AUTOINSTALL", "false")
        patch.setenv("YOLO_OFFLINE", "true")
        torch = pytest.importorskip("torch")
        ultralytics = pytest.importorskip("ultralytics")
        torch.manual_seed(0)
        model = ultralytics.YOLO("yolo11n.yaml")
        sharpen(model, picture_of_blobs(), torch)
        path = folder / "model.pt"
        # Not by its own `save`, which writes halves: the drawn weights are too large for them.
        torch.save({"model": model.model, "train_args": dict(model.overrides)}, path)
        yield path, model


@pytest.fixture(scope="module")
def backend(checkpoint: tuple[Path, Any]) -> Iterator[Backend]:
    opened = open_backend(release(checkpoint[0]), threads=1, device="cpu")
    yield opened
    opened.close()


def test_gives_the_boxes_of_ultralytics(checkpoint: tuple[Path, Any], backend: Backend) -> None:
    detector = backend.detector
    assert isinstance(detector, Detector)
    assert (detector.info.width, detector.info.height) == (WIDTH, HEIGHT)
    assert len(detector.info.names) == 80
    picture = picture_of_blobs()
    before = picture.copy()
    (ours,) = detector.detect([picture], 0.25)
    np.testing.assert_array_equal(picture, before)
    theirs = (
        checkpoint[1]
        .predict(picture, imgsz=list(SIZE), conf=0.25, iou=0.65, rect=False, verbose=False)[0]
        .boxes
    )
    assert len(theirs) > 10
    assert len(ours) == len(theirs)
    assert (np.diff(ours.scores) <= 0).all()
    np.testing.assert_allclose(ours.scores, np.sort(theirs.conf.numpy())[::-1], atol=1e-4)


def test_neighbours_of_other_sizes_change_nothing(backend: Backend) -> None:
    assert backend.detector is not None
    images = [picture_of_blobs(), blank(64, 200), picture_of_blobs()[:200, :300]]
    alone = [backend.detector.detect([image], 0.3)[0] for image in images]
    for a, b in zip(alone, backend.detector.detect(images, 0.3), strict=True):
        assert len(a) == len(b)
        np.testing.assert_allclose(a.scores, b.scores, atol=1e-3)


def test_frozen_images_go_and_what_is_no_image_does_not(backend: Backend) -> None:
    assert backend.detector is not None
    picture = picture_of_blobs()
    picture.flags.writeable = False
    assert len(backend.detector.detect([picture], 0.3)[0]) > 0
    for bad in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), None):
        with pytest.raises(InvalidInput):
            backend.detector.detect([bad])  # type: ignore[list-item]


def test_raw_tensors_are_refused_clearly(backend: Backend) -> None:
    assert backend.signature.inputs == ()
    with pytest.raises(InvalidInput, match="takes images"):
        backend.run({"images": np.zeros((1, 3, HEIGHT, WIDTH), np.float32)})


def test_a_checkpoint_of_nan_is_refused(checkpoint: tuple[Path, Any], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    spoiled = torch.load(checkpoint[0], weights_only=False)
    with torch.no_grad():
        next(spoiled["model"].parameters()).fill_(float("nan"))
    path = tmp_path / "model.pt"
    torch.save(spoiled, path)
    with pytest.raises(InvalidModel, match="not finite"):
        open_backend(release(path), threads=1, device="cpu")


def test_what_fails_inside_is_told_and_leaves_it_usable(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector: Any = backend.detector
    before = len(detector.detect([picture_of_blobs()], 0.3)[0])

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(detector._model, "predict", broken)
        with pytest.raises(ModelFailure, match="out of memory"):
            detector.detect([picture_of_blobs()], 0.3)
    assert len(detector.detect([picture_of_blobs()], 0.3)[0]) == before


def test_configured_tensors_are_refused(checkpoint: tuple[Path, Any]) -> None:
    with pytest.raises(InvalidModel, match="no raw tensors"):
        open_backend(release(checkpoint[0], task="raw"), device="cpu")


def test_a_closed_one_says_so(checkpoint: tuple[Path, Any]) -> None:
    opened = open_backend(release(checkpoint[0]), threads=1, device="cpu")
    opened.close()
    opened.close()
    assert opened.detector is not None
    with pytest.raises(Unavailable, match="closed"):
        opened.detector.detect([blank(64, 64)])
    with pytest.raises(Unavailable, match="closed"):
        opened.run({})
