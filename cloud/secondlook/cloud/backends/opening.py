"""From a version on disk to what runs it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from secondlook.cloud.backends.onnx_backend import open_onnx
from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.repository.config import Release
from secondlook.cloud.repository.foreign import BACKENDS
from secondlook.cloud.repository.variants import check_variant
from secondlook.shared.detect.providers import ON_DEVICES
from secondlook.shared.errors import InvalidConfig

MAX_THREADS = 1024

_DEVICE = re.compile(r"auto|cpu|gpu(?::(\d{1,3}))?")


def open_backend(
    release: Release,
    *,
    device: str = "auto",
    threads: int | None = None,
    providers: Sequence[str] = ("auto",),
    spin: bool = False,
) -> Backend:
    """Load one version of a model on one device. Blocking; nothing has run yet.

    Each call is one instance, with threads and memory of its own.

    Args:
        release: what to load; a configuration without inputs and outputs is completed from the
            file.
        device: ``auto``, ``cpu``, ``gpu`` or ``gpu:<index>``.
        threads: of the network; ``None``: as the first instance group says; 0: one per core.
        providers: ONNX Runtime's, to try in order; ``parameters[providers]`` wins.
        spin: let idle threads of ONNX Runtime wait actively.

    Raises:
        InvalidModel: the file is missing, broken, of the wrong kind, or contradicts the
            configuration; a variant has no measured agreement.
        InvalidConfig: an unknown backend or device, a parameter that cannot be.
        MissingDependency: torch or ultralytics is not installed.
        Unavailable: the other server cannot be reached, or does not have the model ready.
    """
    config = release.config
    matched = _DEVICE.fullmatch(device)
    if matched is None:
        raise InvalidConfig(f"device is {device[:40]!r}; auto, cpu, gpu or gpu:<index> expected")
    index = int(matched[1] or 0)
    kind = device.partition(":")[0]
    if threads is None:
        threads = config.instances[0].threads if config.instances else 0
    if not 0 <= threads <= MAX_THREADS:
        raise InvalidConfig(f"threads is {threads}; 0 (all cores) to {MAX_THREADS} expected")
    if config.backend != "remote":
        check_variant(release)
    if config.backend == "onnxruntime":
        listed = [word.strip() for word in config.parameters.get("providers", "").split(",")]
        asked = [word for word in listed if word] or list(providers)
        return open_onnx(
            release, providers=_rungs(asked, kind), device=index, threads=threads, spin=spin
        )
    # Each needs a library, or a channel, that those who do without shall not load.
    if config.backend == "pytorch":
        from secondlook.cloud.backends.torch_backend import open_torch

        return open_torch(release, kind=kind, device=index, threads=threads)
    if config.backend == "ultralytics":
        from secondlook.cloud.backends.ultralytics_backend import open_ultralytics

        return open_ultralytics(release, kind=kind, device=index, threads=threads)
    if config.backend == "remote":
        from secondlook.cloud.backends.remote_backend import open_remote

        return open_remote(release)
    raise InvalidConfig(
        f"model {config.name}: backend {config.backend[:40]!r} is unknown",
        remedy=f"use {', '.join(BACKENDS)}",
    )


def _rungs(asked: Sequence[str], kind: str) -> Sequence[str]:
    if kind == "cpu":
        return ("cpu",)
    if kind == "gpu" and [word.lower() for word in asked] == ["auto"]:
        return tuple(name.lower() for name in ON_DEVICES)
    return asked
