"""The ladder of execution providers."""

from __future__ import annotations

import pytest

from secondlook.shared.detect.providers import LADDER, provider_options, rungs
from secondlook.shared.errors import InvalidConfig

GPU = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
PLAIN = ["AzureExecutionProvider", "CPUExecutionProvider"]


def names(wanted: list[str], available: list[str]) -> list[str]:
    return [provider.name for provider in rungs(wanted, available)[0]]


def test_auto_takes_what_there_is_fastest_first() -> None:
    assert names(["auto"], GPU[::-1]) == ["TensorRT", "CUDA", "CPU"]
    assert names(["auto"], PLAIN) == ["CPU"]
    assert rungs(["auto"], PLAIN)[1] == []


def test_a_list_is_tried_in_its_own_order_without_regard_to_case() -> None:
    assert names(["CPU", "Cuda", "cpu"], GPU) == ["CPU", "CUDA"]
    assert names(["cuda", "auto"], GPU) == ["CUDA", "TensorRT", "CPU"]


def test_what_is_absent_is_left_out_with_the_reason_where_another_remains() -> None:
    usable, absent = rungs(["openvino", "cpu"], PLAIN)
    assert [p.name for p in usable] == ["CPU"]
    assert absent[0][0].name == "OpenVINO"
    assert "onnxruntime-openvino" in absent[0][1]


@pytest.mark.parametrize("word", ["tensorrt", "cuda", "cann", "openvino"])
def test_asking_for_only_what_is_absent_is_an_error_with_its_remedy(word: str) -> None:
    with pytest.raises(InvalidConfig, match="CPUExecutionProvider") as caught:
        rungs([word], PLAIN)
    assert "pip install" in caught.value.remedy
    assert "auto" in caught.value.remedy


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InvalidConfig, match="'gpu'") as caught:
        rungs(["gpu"], GPU)
    assert all(provider.name.lower() in caught.value.remedy for provider in LADDER)


def test_an_empty_list_is_an_error() -> None:
    with pytest.raises(InvalidConfig, match="empty"):
        rungs([], GPU)


def test_tensorrt_keeps_its_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/edge")
    by_name = {provider.name: provider_options(provider, 3) for provider in LADDER}
    assert by_name["TensorRT"]["trt_engine_cache_path"] == "/var/cache/edge/secondlook/tensorrt"
    assert by_name["OpenVINO"] == {"num_of_threads": "3"}
    assert by_name["CPU"] == by_name["CUDA"] == {}
