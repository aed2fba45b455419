"""Opening a network in ONNX Runtime: the one place that sees its exceptions at load time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from secondlook.shared.detect.providers import CPU, Provider, provider_options, rungs
from secondlook.shared.detect.runtime import ort, ort_errors
from secondlook.shared.errors import InvalidConfig, InvalidModel
from secondlook.shared.telemetry import get_logger

FOREIGN: tuple[type[Exception], ...] = (
    *(
        kind
        for kind in vars(ort_errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
    RuntimeError,
    ValueError,
)
"""What ONNX Runtime raises; its own exceptions share no base but Exception."""

_OF_THE_FILE = (ort_errors.InvalidProtobuf, ort_errors.InvalidGraph, ort_errors.NoSuchFile)
"""Errors that no other provider would mend."""

_QUIET = 4
"""ONNX Runtime's own log: fatal only. Its errors come to us as exceptions and are told once."""

_NOISE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : "
    r"|Load model from .*? failed:"
    r"|^.*Status Message: "
    r"|/\S+\.(?:cc|cpp|h):\d+ .*?\) (?=[A-Z\[])"
)

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A network that is ready to run.

    Attributes:
        session: ONNX Runtime's session.
        provider: the provider that is really active.
    """

    session: Any
    provider: str


def read_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a model file, after the checks that give the clearest errors.

    Raises:
        InvalidModel: missing, a directory, unreadable, empty, or of a kind that is not ONNX.
    """
    if path.suffix in (".pt", ".pth"):
        raise InvalidModel(
            f"{path} is a torch checkpoint; the detector runs ONNX models",
            remedy=f"export it: yolo export model={path} format=onnx dynamic=True",
        )
    return file_digest(path)


def file_digest(path: Path) -> str:
    """Hexadecimal SHA-256 of a model file of any kind.

    Raises:
        InvalidModel: missing, a directory, unreadable or empty.
    """
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except FileNotFoundError as error:
        raise InvalidModel(f"model {path} does not exist", remedy="check the path") from error
    except OSError as error:
        raise InvalidModel(
            f"model {path} cannot be read: {error.strerror}", remedy="check the path and its rights"
        ) from error
    if size == 0:
        raise InvalidModel(f"model {path} is empty (0 bytes)", remedy="copy or download it again")
    return digest.hexdigest()


def open_session(
    path: Path, *, providers: Sequence[str], threads: int, spin: bool, device: int = 0
) -> OpenSession:
    """Load the network with the first provider that works.

    Args:
        path: the ONNX file.
        providers: see `secondlook.shared.detect.providers.rungs`.
        threads: threads of the network; 0 is one per usable core.
        spin: let idle threads of the network wait actively: a little faster, but it takes the
            processor from decoding and everything else.
        device: index of the device, for providers that run on one of several.

    Raises:
        InvalidModel: ONNX Runtime cannot load the file.
        InvalidConfig: unknown or absent providers, or none of those asked for starts.
    """
    usable, refused = rungs(providers, ort.get_available_providers())
    for provider in usable:
        try:
            session = _create(path, provider, threads or usable_cores(), spin, device)
        except FOREIGN as error:
            if provider.engine == CPU or isinstance(error, _OF_THE_FILE):
                raise _broken(path, error) from error
            refused.append((provider, reason_of(error)))
            continue
        reason, elsewhere = _placement(session, provider)
        if reason:
            refused.append((provider, reason))
            continue
        for other, why in refused:
            _log.warning("provider not used", model=path.name, provider=other.name, reason=why)
        if elsewhere:
            _log.warning(
                "part of the network runs on the CPU",
                model=path.name,
                provider=provider.name,
                nodes=elsewhere,
            )
        return OpenSession(session, provider.name)
    tried = "; ".join(f"{provider.name}: {reason}" for provider, reason in refused)
    raise InvalidConfig(
        f"no provider of {', '.join(providers)} could run {path}: {tried}",
        remedy='add "cpu" to the list, or use ["auto"]',
    )


def peek(path: Path) -> Any:
    """A session for reading what a network declares: on the CPU, one thread, nothing optimised.

    Raises:
        InvalidModel: ONNX Runtime cannot load the file.
    """
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(str(path), options, providers=[CPU], enable_fallback=0)
    except FOREIGN as error:
        raise _broken(path, error) from error


def _create(path: Path, provider: Provider, threads: int, spin: bool, device: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = _QUIET
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    engines: list[Any] = [CPU]
    if provider.engine != CPU:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        engines.insert(0, (provider.engine, provider_options(provider, threads, device)))
    if provider.name in ("TensorRT", "CUDA") and hasattr(ort, "preload_dlls"):
        # Finds CUDA and cuDNN where pip put them; prints what it misses, which we tell later.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    # ONNX Runtime's own fallback prints, and hides which provider runs.
    return ort.InferenceSession(str(path), options, providers=engines, enable_fallback=0)


def usable_cores() -> int:
    """Cores that this process may run on, at least 1."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _placement(session: Any, provider: Provider) -> tuple[str, int]:
    """Why the provider does not run the network ("" if it does), and how many nodes it left."""
    active = session.get_providers()
    if active[0] != provider.engine:
        # No exception: ONNX Runtime says so on stderr and takes the next by itself.
        return f"it did not start, {active[0]} did; its libraries are missing or do not fit", 0
    if provider.engine == CPU or not hasattr(session, "get_provider_graph_assignment_info"):
        return "", 0  # older ONNX Runtimes cannot tell where the nodes went
    nodes = Counter[str]()
    for part in session.get_provider_graph_assignment_info():
        nodes[part.ep_name] += len(part.get_nodes())
    if not nodes[provider.engine]:
        return f"it took none of the network's {nodes.total()} nodes", 0
    return "", nodes.total() - nodes[provider.engine]


def _broken(path: Path, error: Exception) -> InvalidModel:
    reason = reason_of(error)
    lowered = reason.lower()
    if "external" in lowered or "model_path must not be empty" in lowered:
        remedy = "copy the .data file that belongs to it into the same folder"
    elif "protobuf" in lowered:
        remedy = "it is truncated, corrupt or no ONNX file: copy or export it again"
    elif "opset" in lowered or "ir version" in lowered or "ir_version" in lowered:
        remedy = "export it for an older opset, or install a newer onnxruntime"
    else:
        remedy = "export it again"
    return InvalidModel(f"model {path} cannot be loaded: {reason}", remedy=remedy)


def reason_of(error: Exception) -> str:
    """What ONNX Runtime says, without its status code, source line and C++ signature."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return _NOISE.sub("", line)[:300]
