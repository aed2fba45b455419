"""Opening networks: every broken file, every provider that does not start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from structlog.testing import capture_logs
from support.networks import blank, paint, write_bright_spot_model

from secondlook.shared.detect import load_detector
from secondlook.shared.detect.runtime import ort, ort_errors
from secondlook.shared.detect.session import open_session, usable_cores
from secondlook.shared.errors import InvalidConfig, InvalidModel, ModelFailure


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bright_spot_model(tmp_path_factory.mktemp("good") / "good.onnx")


def _changed(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        model = onnx.load_from_string(data)
        change(model)
        return model.SerializeToString()

    return apply


def _unknown_operator(model: Any) -> None:
    model.graph.node[3].op_type = "Wurst"


def _newer_opset(model: Any) -> None:
    model.opset_import[0].version = 999


def _newer_format(model: Any) -> None:
    model.ir_version = 99


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        pytest.param(lambda data: b"", "0 bytes", id="empty"),
        pytest.param(lambda data: data[: len(data) // 2], "truncated", id="truncated"),
        pytest.param(lambda data: data[:-1], "truncated", id="one byte short"),
        pytest.param(lambda data: data[:300] + bytes(200) + data[500:], "corrupt", id="corrupt"),
        pytest.param(lambda data: b"hello\n" * 100, "no ONNX file", id="text"),
        pytest.param(lambda data: b"\x89PNG\r\n\x1a\n" + b"0" * 99, "no ONNX file", id="png"),
        pytest.param(_changed(_unknown_operator), "Wurst", id="unknown operator"),
        pytest.param(_changed(_newer_opset), "newer onnxruntime", id="opset of the future"),
        pytest.param(_changed(_newer_format), "newer onnxruntime", id="format of the future"),
    ],
)
def test_a_broken_file_is_named_with_a_remedy(
    good: Path, tmp_path: Path, spoil: Callable[[bytes], bytes], told: str
) -> None:
    path = tmp_path / "street.onnx"
    path.write_bytes(spoil(good.read_bytes()))
    with pytest.raises(InvalidModel, match=r"street\.onnx") as caught:
        load_detector(path)
    assert told in str(caught.value)
    assert caught.value.remedy
    assert "onnxruntime_src" not in str(caught.value)


def test_garbage_of_every_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.onnx"
    for seed in range(20):
        path.write_bytes(np.random.default_rng(seed).bytes(4000))
        with pytest.raises(InvalidModel):
            load_detector(path)


def test_a_file_with_changed_bytes_is_refused_fails_clearly_or_works(
    good: Path, tmp_path: Path
) -> None:
    path, data = tmp_path / "flipped.onnx", good.read_bytes()
    image = blank(128, 96)
    paint(image, (16, 16, 60, 60))
    outcomes = set()
    for seed in range(60):
        rng, changed = np.random.default_rng(seed), bytearray(data)
        for _ in range(rng.integers(1, 6)):
            changed[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(bytes(changed))
        try:
            load_detector(path, threads=1).detect([image, image])
            outcomes.add("works")
        except (InvalidModel, ModelFailure) as error:
            outcomes.add(type(error).__name__)
    assert outcomes >= {"works", "InvalidModel"}


@pytest.mark.parametrize("text", [b"nhwc_bgr_uint8", b"images", b"output0"])
def test_names_and_metadata_that_are_no_text(good: Path, tmp_path: Path, text: bytes) -> None:
    path, data = tmp_path / "x.onnx", good.read_bytes()
    assert text in data
    path.write_bytes(data.replace(text, (b"\xff\xfe" * 7)[: len(text)]))
    with pytest.raises(InvalidModel, match=r"x\.onnx"):
        load_detector(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="does not exist"):
        load_detector(tmp_path / "absent.onnx")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match="cannot be read"):
        load_detector(tmp_path)


def test_missing_external_data(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save_model(
        onnx.load(good), str(path), save_as_external_data=True, location="w.data", size_threshold=0
    )
    (tmp_path / "w.data").unlink()
    with pytest.raises(InvalidModel) as caught:
        load_detector(path)
    assert ".data" in caught.value.remedy


@pytest.mark.parametrize("suffix", [".pt", ".pth"])
def test_a_torch_checkpoint_is_answered_with_the_export_command(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"yolo11n{suffix}"
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(InvalidModel, match="torch") as caught:
        load_detector(path)
    assert f"yolo export model={path} format=onnx" in caught.value.remedy


class _Session:
    """Stands for a session whose provider did not start, or took nothing."""

    def __init__(self, real: Any, active: list[str], nodes: dict[str, int]) -> None:
        self._real, self._active, self._nodes = real, active, nodes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return self._active

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [_Part(name, count) for name, count in self._nodes.items()]


class _Part:
    def __init__(self, ep_name: str, count: int) -> None:
        self.ep_name, self._count = ep_name, count

    def get_nodes(self) -> list[None]:
        return [None] * self._count


CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


@pytest.fixture
def pretend_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Pretend ONNX Runtime has CUDA; what asking for it gives is set by the test."""
    real = ort.InferenceSession

    def install(outcome: Any) -> None:
        def create(path: str, options: Any, providers: list[Any], **rest: Any) -> Any:
            if providers[0] == CPU:
                return real(path, options, providers=[CPU], **rest)
            if isinstance(outcome, Exception):
                raise outcome
            return _Session(real(path, options, providers=[CPU]), *outcome)

        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(ort, "preload_dlls", lambda: sys.stdout.write("noise"), raising=False)
        monkeypatch.setattr(ort, "InferenceSession", create)

    return install


SILENT = ([CPU], {CPU: 5})
NO_NODES = ([CUDA, CPU], {CPU: 5})
FAILED = ort_errors.Fail("[ONNXRuntimeError] : 1 : FAIL : CUDA failure 100: no CUDA-capable device")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [(SILENT, "did not start"), (NO_NODES, "none of the network's 5"), (FAILED, "no CUDA-capable")],
)
def test_a_provider_that_does_not_run_the_network_is_told_and_passed_over(
    good: Path, pretend_cuda: Callable[[Any], None], outcome: Any, reason: str
) -> None:
    pretend_cuda(outcome)
    with capture_logs() as logs:
        opened = open_session(good, providers=["auto"], threads=1, spin=False)
    assert opened.provider == "CPU"
    (told,) = [entry for entry in logs if entry["event"] == "provider not used"]
    assert told["provider"] == "CUDA"
    assert reason in told["reason"]
    with pytest.raises(InvalidConfig, match=reason):
        open_session(good, providers=["cuda"], threads=1, spin=False)


def test_a_provider_that_takes_a_part_is_active_and_the_rest_is_told(
    good: Path, pretend_cuda: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_cuda(([CUDA, CPU], {CUDA: 90, CPU: 3}))
    with capture_logs() as logs:
        opened = open_session(good, providers=["auto"], threads=1, spin=False)
    assert opened.provider == "CUDA"
    assert [entry["nodes"] for entry in logs] == [3]
    assert capsys.readouterr().out == ""


def test_a_broken_file_is_not_blamed_on_the_provider(
    tmp_path: Path, pretend_cuda: Callable[[Any], None]
) -> None:
    pretend_cuda(ort_errors.InvalidProtobuf("Protobuf parsing failed."))
    (tmp_path / "x.onnx").write_bytes(b"x")
    with pytest.raises(InvalidModel, match="Protobuf"):
        open_session(tmp_path / "x.onnx", providers=["cuda"], threads=1, spin=False)


def test_threads_and_spinning_reach_the_session(good: Path) -> None:
    for threads, spin in ((1, False), (3, True), (0, False)):
        opened = open_session(good, providers=["cpu"], threads=threads, spin=spin)
        options = opened.session.get_session_options()
        assert options.intra_op_num_threads == (threads or usable_cores())
        spinning = options.get_session_config_entry("session.intra_op.allow_spinning")
        assert spinning == ("1" if spin else "0")
