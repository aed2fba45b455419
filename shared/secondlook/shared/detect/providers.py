"""The ladder of execution providers: the fastest that works, and the truth about which it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from secondlook.shared.errors import InvalidConfig

AUTO = "auto"
CPU = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True)
class Provider:
    """One rung.

    Attributes:
        name: what people read.
        engine: what ONNX Runtime calls it.
        remedy: what makes it available.
    """

    name: str
    engine: str
    remedy: str


LADDER = (
    Provider("TensorRT", "TensorrtExecutionProvider", "pip install onnxruntime-gpu tensorrt"),
    Provider("CUDA", "CUDAExecutionProvider", "pip install 'onnxruntime-gpu[cuda,cudnn]'"),
    Provider(
        "CANN", "CANNExecutionProvider", "pip install onnxruntime-cann, with the CANN toolkit"
    ),
    Provider("OpenVINO", "OpenVINOExecutionProvider", "pip install onnxruntime-openvino"),
    Provider("CPU", CPU, "pip install onnxruntime"),
)
"""Fastest first. On JetPack, NVIDIA's own wheel of onnxruntime-gpu brings TensorRT and CUDA."""

ON_DEVICES = ("TensorRT", "CUDA", "CANN")
"""Providers that run on one of several devices."""

_BY_NAME = {provider.name.lower(): provider for provider in LADDER}


def rungs(
    wanted: Sequence[str], available: Sequence[str]
) -> tuple[list[Provider], list[tuple[Provider, str]]]:
    """What to try, in order, and what is left out with the reason.

    Args:
        wanted: names of ``LADDER`` in any case, or ``auto`` for whatever this machine has.
        available: what ONNX Runtime was built with.

    Raises:
        InvalidConfig: an unknown name, an empty list, or nothing of the list is available.
    """
    if not wanted:
        raise InvalidConfig("providers is empty", remedy='use ["auto"]')
    asked: list[Provider] = []
    explicit: set[str] = set()
    for word in wanted:
        if word.lower() == AUTO:
            chosen = [p for p in LADDER if p.engine in available]
        elif word.lower() in _BY_NAME:
            chosen = [_BY_NAME[word.lower()]]
            explicit.add(chosen[0].name)
        else:
            raise InvalidConfig(
                f"providers: {word!r} is unknown",
                remedy=f"use {AUTO} or {', '.join(p.name.lower() for p in LADDER)}",
            )
        asked += [p for p in chosen if p not in asked]
    usable = [p for p in asked if p.engine in available]
    absent = [
        (p, f"this onnxruntime was built without it; {p.remedy}")
        for p in asked
        if p.engine not in available
    ]
    if not usable:
        first = absent[0][0]
        raise InvalidConfig(
            f"provider {first.name} was asked for, but this onnxruntime has only "
            f"{', '.join(available)}",
            remedy=f'{first.remedy}, or use providers = ["auto"]',
        )
    return usable, absent


def provider_options(provider: Provider, threads: int, device: int = 0) -> dict[str, str]:
    """What ONNX Runtime is told about this provider.

    Args:
        provider: the rung.
        threads: threads of the network, for providers that run on the CPU with their own.
        device: index of the device, for providers of `ON_DEVICES`.
    """
    options = {"device_id": str(device)} if device and provider.name in ON_DEVICES else {}
    if provider.name == "OpenVINO":
        return {"num_of_threads": str(threads)}
    if provider.name == "TensorRT":
        # Building an engine takes minutes on a Jetson; without a cache, at every start.
        cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
        return options | {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(cache / "secondlook" / "tensorrt"),
        }
    return options
