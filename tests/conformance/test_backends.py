"""Every MUST of `secondlook.cloud.engine.backend.Backend`, over every kind of backend."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from support.networks import blank, paint, write_bright_spot_model
from support.networks_raw import TABLE, arithmetic, write_arithmetic_model
from support.oip_server import oip_server

from secondlook.cloud.backends import open_backend
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import DTYPES
from secondlook.cloud.repository.config import ModelConfig, Release
from secondlook.shared import geometry
from secondlook.shared.detect import Detector
from secondlook.shared.errors import InvalidInput, ModelFailure, SecondlookError, Unavailable

Inputs = dict[str, np.ndarray]
Maker = Callable[[Path, ExitStack], Backend]


def release(file: Path, backend: str = "onnxruntime", **options: object) -> Release:
    """A version that nobody configured."""
    return Release(ModelConfig("m", backend, **options), "1", file)  # type: ignore[arg-type]


def _onnx(folder: Path, stack: ExitStack) -> Backend:
    return open_backend(release(write_arithmetic_model(folder / "model.onnx")), threads=1)


def _onnx_detector(folder: Path, stack: ExitStack) -> Backend:
    path = write_bright_spot_model(folder / "model.onnx", fault="nan_on_white")
    return open_backend(release(path), threads=1)


def _remote(local: Maker) -> Maker:
    def make(folder: Path, stack: ExitStack) -> Backend:
        server = stack.enter_context(oip_server("m", local(folder, stack)))
        said = {"address": server.address, "names": '["person", "car", "bottle"]'}
        if local is _onnx:
            del said["names"]
        # The letterbox and the layout are not of the protocol: they are declared as in a sidecar.
        if local is _onnx_detector:
            said |= {"head": "yolov8", "input_layout": "nhwc_bgr_uint8"}
        return open_backend(release(folder, "remote", parameters=said))

    return make


def _torch(kind: str) -> Maker:
    def make(folder: Path, stack: ExitStack) -> Backend:
        from support import networks_torch

        return networks_torch.open_arithmetic(folder, kind)

    return make


def _torch_detector(kind: str) -> Maker:
    def make(folder: Path, stack: ExitStack) -> Backend:
        from support import networks_torch

        return networks_torch.open_detector(folder, kind)

    return make


RAW: dict[str, Maker] = {"onnxruntime": _onnx, "remote": _remote(_onnx)}
RAW_HEAVY: dict[str, Maker] = {f"pytorch-{kind}": _torch(kind) for kind in ("pt2", "pt")}
DETECTORS: dict[str, Maker] = {
    "onnxruntime": _onnx_detector,
    "remote": _remote(_onnx_detector),
}
DETECTORS_HEAVY: dict[str, Maker] = {
    f"pytorch-{kind}": _torch_detector(kind) for kind in ("pt2", "pt")
}


def _parameters(light: dict[str, Maker], heavy: dict[str, Maker]) -> list[object]:
    return [pytest.param(make, id=name) for name, make in light.items()] + [
        pytest.param(make, id=name, marks=pytest.mark.heavy) for name, make in heavy.items()
    ]


@dataclass(frozen=True)
class Opened:
    """A backend under test."""

    backend: Backend
    name: str


@pytest.fixture(params=_parameters(RAW, RAW_HEAVY), scope="module")
def raw(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """The arithmetic model, in each backend."""
    with ExitStack() as stack:
        backend = request.param(tmp_path_factory.mktemp("raw"), stack)
        stack.callback(backend.close)
        yield backend


@pytest.fixture(params=_parameters(DETECTORS, DETECTORS_HEAVY), scope="module")
def detecting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """A network that finds painted rectangles, in each backend."""
    with ExitStack() as stack:
        backend = request.param(tmp_path_factory.mktemp("detector"), stack)
        stack.callback(backend.close)
        yield backend


def feed(rows: int = 1, seed: int = 0) -> Inputs:
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(size=(rows, 4)).astype(np.float32),
        "b": rng.normal(size=(rows, 4)).astype(np.float32),
        "index": rng.integers(0, len(TABLE), (rows, 1)),
    }


def check(given: dict[str, np.ndarray], inputs: Inputs) -> None:
    """The outputs are those of the arithmetic model."""
    expected = arithmetic(inputs["a"], inputs["b"], inputs["index"])
    assert set(given) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(given[name], array, rtol=1e-6)


def test_tells_what_it_takes_and_gives_and_where_it_runs(raw: Backend) -> None:
    inputs = {spec.name: (spec.dtype, spec.shape) for spec in raw.signature.inputs}
    outputs = {spec.name: (spec.dtype, spec.shape) for spec in raw.signature.outputs}
    assert inputs == {"a": ("FP32", (4,)), "b": ("FP32", (4,)), "index": ("INT64", (1,))}
    assert outputs == {"sum": ("FP32", (4,)), "ratio": ("FP32", (4,)), "picked": ("FP32", (1,))}
    assert raw.signature.max_batch >= 2
    assert raw.device == "CPU" or ":" in raw.device
    assert raw.memory_bytes >= 0
    assert raw.detector is None


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_gives_every_output(raw: Backend, rows: int) -> None:
    inputs = feed(rows)
    given = raw.run(inputs)
    check(given, inputs)
    specs = {spec.name: spec for spec in raw.signature.outputs}
    assert all(array.dtype == DTYPES[specs[name].dtype] for name, array in given.items())


def test_gives_the_outputs_that_are_wanted_alone(raw: Backend) -> None:
    inputs = feed(2)
    given = raw.run(inputs, ["ratio", "sum", "ratio"])
    assert set(given) == {"ratio", "sum"}
    np.testing.assert_allclose(given["sum"], inputs["a"] + inputs["b"], rtol=1e-6)


def test_a_row_gets_the_same_whatever_is_in_its_batch(raw: Backend) -> None:
    inputs = feed(5)
    together = raw.run(inputs)
    for row in range(5):
        alone = raw.run({name: array[row : row + 1] for name, array in inputs.items()})
        for name, array in alone.items():
            np.testing.assert_array_equal(array[0], together[name][row])


def test_inputs_are_left_untouched_and_outputs_are_not_written_to_later(raw: Backend) -> None:
    inputs = feed(3)
    before = {name: array.copy() for name, array in inputs.items()}
    first = raw.run(inputs)
    kept = {name: array.copy() for name, array in first.items()}
    for array in inputs.values():
        array += 1 if array.dtype == np.float32 else 0
    raw.run(feed(3, seed=9))
    for name, array in kept.items():
        np.testing.assert_array_equal(first[name], array)
    np.testing.assert_array_equal(inputs["index"], before["index"])
    np.testing.assert_array_equal(inputs["a"] - 1, before["a"] + 1 - 1)


def test_frozen_inputs_and_views_go_as_well(raw: Backend) -> None:
    inputs = feed(4)
    wide = np.repeat(inputs["a"], 2, axis=1)
    odd = {"a": wide[:, ::2], "b": np.asfortranarray(inputs["b"]), "index": inputs["index"]}
    odd["index"].flags.writeable = False
    check(raw.run(odd), inputs)


def test_numbers_that_are_not_finite_are_handed_on(raw: Backend) -> None:
    inputs = feed(2)
    inputs["a"][0, 0] = inputs["b"][0, 0] = 0
    inputs["b"][1, 1] = 0
    given = raw.run(inputs)
    assert np.isnan(given["ratio"][0, 0])
    assert np.isinf(given["ratio"][1, 1])
    check(given, inputs)


WRONG: dict[str, Callable[[Inputs], object]] = {
    "missing": lambda x: x.pop("a"),
    "unknown": lambda x: x.update(c=x["a"]),
    "type": lambda x: x.update(a=x["a"].astype(np.float64)),
    "shape": lambda x: x.update(a=x["a"][:, :3]),
    "axes": lambda x: x.update(a=x["a"][0]),
    "rows": lambda x: x.update(a=x["a"][:1]),
    "no rows": lambda x: x.update({name: array[:0] for name, array in x.items()}),
    "too many rows": lambda x: x.update(
        {name: np.repeat(array, 1000, axis=0) for name, array in x.items()}
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_can_never_work_is_refused_before_anything_runs(raw: Backend, wrong: str) -> None:
    inputs = feed(2)
    WRONG[wrong](inputs)
    with pytest.raises(InvalidInput):
        raw.run(inputs)
    check(raw.run(feed(2)), feed(2))


def test_an_output_that_it_has_not_is_refused(raw: Backend) -> None:
    with pytest.raises(InvalidInput, match="nothing"):
        raw.run(feed(), ["sum", "nothing"])


def test_what_fails_inside_is_told_and_leaves_it_usable(raw: Backend) -> None:
    poisoned = feed(3)
    poisoned["index"][1] = 10_000
    for _ in range(2):
        with pytest.raises(ModelFailure, match="m"):
            raw.run(poisoned)
        check(raw.run(feed(3)), feed(3))


def test_any_thread_may_call(raw: Backend) -> None:
    failures: list[BaseException] = []

    def call(seed: int) -> None:
        try:
            check(raw.run(feed(2, seed)), feed(2, seed))
        except BaseException as error:  # noqa: BLE001 - told by the test that joins
            failures.append(error)

    for seed in range(3):
        thread = threading.Thread(target=call, args=(seed,))
        thread.start()
        thread.join(60)
    assert not failures


def test_warming_up_changes_no_answer(raw: Backend) -> None:
    raw.warm_up()
    check(raw.run(feed(2)), feed(2))


@pytest.mark.parametrize("make", _parameters(RAW | {"d": _onnx_detector}, RAW_HEAVY))
def test_a_closed_backend_says_so(make: Maker, tmp_path: Path) -> None:
    with ExitStack() as stack:
        backend = make(tmp_path, stack)
        backend.close()
        backend.close()
        with pytest.raises(Unavailable, match="closed"):
            backend.run(feed())
        if backend.detector is not None:
            with pytest.raises(Unavailable, match="closed"):
                backend.detector.detect([blank(64, 64)])
        assert backend.signature.inputs


def scene(box: tuple[int, int, int, int] = (32, 32, 64, 64), name: str = "car") -> np.ndarray:
    image = blank(128, 96)
    paint(image, box, name)
    return image


def poisoned_scene() -> np.ndarray:
    image = scene()
    image[80:90, 80:90] = 255
    return image


def test_is_a_detector_where_its_head_is_understood(detecting: Backend) -> None:
    detector = detecting.detector
    assert isinstance(detector, Detector)
    info = detector.info
    assert (info.name, info.version) == ("m", "1")
    assert info.names == ("person", "car", "bottle")
    assert info.max_batch >= 2
    (found,) = detector.detect([scene()], 0.4)
    assert found.class_names() == ["car"]
    assert geometry.iou(np.array([[32, 32, 64, 64]], np.float32), found.boxes)[0, 0] > 0.9


def test_images_of_one_batch_do_not_touch_each_other(detecting: Backend) -> None:
    assert detecting.detector is not None
    images = [scene(), blank(64, 64), scene((64, 32, 96, 64), "bottle"), scene()]
    alone = [detecting.detector.detect([image], 0.4)[0] for image in images]
    for a, b in zip(alone, detecting.detector.detect(images, 0.4), strict=True):
        assert a.class_names() == b.class_names()
        np.testing.assert_allclose(a.boxes, b.boxes, atol=0.05)
    assert [len(found) for found in alone] == [1, 0, 1, 1]


def test_boxes_and_tensors_come_from_one_network_in_turns(detecting: Backend) -> None:
    assert detecting.detector is not None
    (spec,) = detecting.signature.inputs
    tensors = {spec.name: np.zeros((2, *spec.shape), DTYPES[spec.dtype])}
    first = detecting.run(tensors)
    (found,) = detecting.detector.detect([scene()], 0.4)
    again = detecting.run(tensors)
    for name, array in first.items():
        np.testing.assert_array_equal(array, again[name])
    (same,) = detecting.detector.detect([scene()], 0.4)
    np.testing.assert_array_equal(found.boxes, same.boxes)


def test_nonsense_of_the_network_is_told_and_leaves_the_detector_usable(
    detecting: Backend,
) -> None:
    assert detecting.detector is not None
    with pytest.raises(ModelFailure, match="not finite"):
        detecting.detector.detect([scene(), poisoned_scene()], 0.4)
    (found,) = detecting.detector.detect([scene()], 0.4)
    assert len(found) == 1


def test_warming_up_a_detector_changes_no_answer(detecting: Backend) -> None:
    assert detecting.detector is not None
    (before,) = detecting.detector.detect([scene()], 0.4)
    detecting.warm_up()
    (after,) = detecting.detector.detect([scene()], 0.4)
    np.testing.assert_array_equal(before.boxes, after.boxes)


def _truncated_program(path: Path) -> None:
    """The half of a zip archive, which is what torch's files are."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__.py", "x" * 5000)
        archive.writestr("model/data.pkl", "ultralytics")
    path.write_bytes(path.read_bytes()[:-100])


def _hollow_program(path: Path) -> None:
    """It has the parts that tell what it is, and nothing in them."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/code/__torch__.py", "")
        archive.writestr("model/data.pkl", b"ultralytics")
        archive.writestr("model/models/model.json", "{}")


BAD_FILES: dict[str, Callable[[Path], object]] = {
    "absent": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "empty": lambda path: path.touch(),
    "noise": lambda path: path.write_bytes(np.random.default_rng(1).bytes(5000)),
    "a picture": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(200)),
    "text": lambda path: path.write_text("model: yes\n" * 50),
    "a program of nothing": lambda path: _hollow_program(path),
    "a zip of nothing": lambda path: path.write_bytes(b"PK\x05\x06" + bytes(18)),
    "a truncated program": lambda path: _truncated_program(path),
    "a truncated network": lambda path: path.write_bytes(
        write_arithmetic_model(path.with_name("whole.onnx")).read_bytes()[:-40]
    ),
}


@pytest.mark.parametrize("bad", BAD_FILES)
@pytest.mark.parametrize(
    ("backend", "name"),
    [
        ("onnxruntime", "model.onnx"),
        pytest.param("pytorch", "model.pt2", marks=pytest.mark.heavy),
        pytest.param("pytorch", "model.pt", marks=pytest.mark.heavy),
        pytest.param("ultralytics", "model.pt", marks=[pytest.mark.heavy, pytest.mark.ultralytics]),
    ],
)
def test_a_bad_file_is_named_and_nothing_foreign_leaks(
    tmp_path: Path, backend: str, name: str, bad: str
) -> None:
    if backend != "onnxruntime":
        pytest.importorskip("torch")
    if backend == "ultralytics":
        pytest.importorskip("ultralytics")
    path = tmp_path / name
    BAD_FILES[bad](path)
    with pytest.raises(SecondlookError, match="model") as told:
        open_backend(release(path, backend), threads=1)
    assert isinstance(told.value, InvalidInput)
