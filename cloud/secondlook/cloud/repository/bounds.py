"""Whether a configuration's numbers and names can be, each by itself and with each other."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence

from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.config import Batching, InstanceGroup, ModelConfig
from secondlook.cloud.repository.findings import Issue
from secondlook.cloud.repository.parameters import is_file_name

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""What a model may be called, unless it ends in `FACE`."""

FACE = ".detect"
"""Ends the names under which the Open Inference Protocol asks detectors with pictures. A model
whose own name ended so could be asked by nobody."""

MAX_VERSION = 2**63 - 1
MAX_BATCH = 4096
MAX_TENSORS = 256
MAX_AXES = 16
MAX_ELEMENTS = 2**31
"""Most elements of one row of one tensor, as far as its lengths are fixed."""

MAX_VERSIONS = 256
MAX_GROUPS, MAX_COUNT, MAX_GPU = 16, 64, 255
MAX_PREFERRED = 32
MAX_DELAY_S = 10.0
MAX_QUEUE = 65_536


def fault_of_name(name: str) -> str:
    """Why no model can be called this; empty where one can."""
    if not NAME.fullmatch(name):
        return "no model can have this name; up to 128 letters, digits, '.', '_', '-' are possible"
    if name.endswith(FACE):
        return (
            f"no model can have this name; {name!r} is how pictures are sent to the detector "
            f"{name.removesuffix(FACE)!r}"
        )
    return ""


def check(config: ModelConfig) -> Iterator[Issue]:
    """Everything that is out of bounds or contradicts itself; fields named as in the file."""
    if config.name:
        fault = fault_of_name(config.name)
        if fault:
            yield Issue("name", f"{config.name[:60]!r}: {fault}")
    if not 0 <= config.max_batch <= MAX_BATCH:
        yield Issue(
            "max_batch_size", f"is {config.max_batch}; 0 (no batch axis) to {MAX_BATCH} expected"
        )
    if config.filename and not is_file_name(config.filename):
        yield Issue(
            "default_model_filename",
            f"{config.filename[:60]!r} is no file name; a file in the version's directory is "
            "expected",
        )
    yield from _tensors("input", config.inputs)
    yield from _tensors("output", config.outputs)
    yield from _versions(config)
    yield from _instances(config.instances)
    if config.batching is not None:
        yield from _batching(config.batching, config)
    if config.backend == "remote" and "address" not in config.parameters:
        yield Issue("backend", "remote needs parameters[address], the host:port of a server")
    if config.shares and not any(config.shares.values()):
        yield Issue(f"parameters[share.{next(iter(config.shares))}]", "all shares are 0")


def _tensors(kind: str, specs: Sequence[TensorSpec]) -> Iterator[Issue]:
    if len(specs) > MAX_TENSORS:
        yield Issue(kind, f"{len(specs)} of them; at most {MAX_TENSORS} are possible")
        return
    seen: set[str] = set()
    for place, spec in enumerate(specs):
        at = f"{kind}[{place}]"
        if not 1 <= len(spec.name) <= 256:
            yield Issue(f"{at}.name", "a name of 1 to 256 characters is expected")
        elif spec.name in seen:
            yield Issue(f"{at}.name", f"{spec.name!r} is there twice")
        seen.add(spec.name)
        if not spec.dtype:
            yield Issue(f"{at}.data_type", f"{spec.name!r} needs a type such as TYPE_FP32")
        yield from _dims(at, spec)


def _dims(at: str, spec: TensorSpec) -> Iterator[Issue]:
    if len(spec.shape) > MAX_AXES:
        yield Issue(f"{at}.dims", f"{len(spec.shape)} axes; at most {MAX_AXES} are possible")
        return
    for axis, length in enumerate(spec.shape):
        if length != -1 and not 1 <= length <= MAX_ELEMENTS:
            yield Issue(
                f"{at}.dims[{axis}]",
                f"is {length}; -1 (any length) or 1 to {MAX_ELEMENTS} expected",
            )
            return
    if math.prod(length for length in spec.shape if length > 0) > MAX_ELEMENTS:
        yield Issue(f"{at}.dims", f"{list(spec.shape)} has more than {MAX_ELEMENTS} elements")


def _versions(config: ModelConfig) -> Iterator[Issue]:
    policy = config.versions
    if not 1 <= policy.latest <= MAX_VERSIONS:
        yield Issue(
            "version_policy.latest.num_versions",
            f"is {policy.latest}; 1 to {MAX_VERSIONS} expected",
        )
    at = "version_policy.specific.versions"
    if len(policy.specific) > MAX_VERSIONS:
        yield Issue(at, f"{len(policy.specific)} of them; at most {MAX_VERSIONS} are served")
    elif len(set(policy.specific)) < len(policy.specific):
        yield Issue(at, "a version is there twice")
    for place, version in enumerate(policy.specific[:MAX_VERSIONS]):
        if not 1 <= version <= MAX_VERSION:
            yield Issue(f"{at}[{place}]", f"is {version}; a number from 1 is expected")
    if policy.specific:
        for shared in config.shares:
            if int(shared) not in policy.specific:
                yield Issue(
                    f"parameters[share.{shared}]", "version_policy.specific has not this version"
                )


def _instances(groups: Sequence[InstanceGroup]) -> Iterator[Issue]:
    if len(groups) > MAX_GROUPS:
        yield Issue("instance_group", f"{len(groups)} of them; at most {MAX_GROUPS} are possible")
        return
    for place, group in enumerate(groups):
        at = f"instance_group[{place}]"
        if not 1 <= group.count <= MAX_COUNT:
            yield Issue(f"{at}.count", f"is {group.count}; 1 to {MAX_COUNT} expected")
        if not group.kind:
            yield Issue(f"{at}.kind", "is not one of KIND_AUTO, KIND_CPU, KIND_GPU, KIND_MODEL")
        if group.gpus and group.kind == "cpu":
            yield Issue(f"{at}.gpus", "KIND_CPU has none")
        if len(group.gpus) > MAX_GPU or any(not 0 <= gpu <= MAX_GPU for gpu in group.gpus):
            yield Issue(f"{at}.gpus", f"indices of 0 to {MAX_GPU} are expected")
        elif len(set(group.gpus)) < len(group.gpus):
            yield Issue(f"{at}.gpus", "one is there twice")


def _batching(batching: Batching, config: ModelConfig) -> Iterator[Issue]:
    at = "dynamic_batching"
    if len(batching.preferred) > MAX_PREFERRED:
        yield Issue(
            f"{at}.preferred_batch_size",
            f"{len(batching.preferred)} of them; at most {MAX_PREFERRED} are possible",
        )
    # A batch of 0 may still be found out from the file; see `complete`.
    most = config.max_batch or MAX_BATCH
    for place, size in enumerate(batching.preferred[:MAX_PREFERRED]):
        if not 1 <= size <= most:
            yield Issue(
                f"{at}.preferred_batch_size[{place}]",
                f"is {size}; 1 to max_batch_size ({most}) expected",
            )
    if not 0 <= batching.max_queue_delay_s <= MAX_DELAY_S:
        yield Issue(
            f"{at}.max_queue_delay_microseconds",
            f"is {batching.max_queue_delay_s * 1e6:.0f}; 0 to {MAX_DELAY_S * 1e6:.0f} expected",
        )
    if not 0 <= batching.max_queue <= MAX_QUEUE:
        yield Issue(
            f"{at}.default_queue_policy.max_queue_size",
            f"is {batching.max_queue}; 0 (the service's default) to {MAX_QUEUE} expected",
        )
