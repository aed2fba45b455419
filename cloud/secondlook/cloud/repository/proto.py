"""Between ``ModelConfig`` of the Open Inference Protocol and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository import bounds
from secondlook.cloud.repository.config import (
    Batching,
    InstanceGroup,
    ModelConfig,
    VersionPolicy,
)
from secondlook.cloud.repository.findings import Issue
from secondlook.cloud.repository.foreign import BACKENDS, PLATFORMS, passed_over, refused
from secondlook.cloud.repository.parameters import (
    OBJECTIVE,
    SHARE,
    THREADS,
    VARIANT,
    Understood,
    read_parameters,
)
from secondlook.oip import model_config_pb2 as pb

DATA_TYPES: Mapping[int, str] = {
    value.number: "BYTES" if value.name == "TYPE_STRING" else value.name.removeprefix("TYPE_")
    for value in pb.DataType.DESCRIPTOR.values
    if value.number
}
"""``TYPE_...`` of the configuration to the name in calls."""

_NUMBERS = {name: number for number, name in DATA_TYPES.items()}
_KINDS = {
    "auto": pb.ModelInstanceGroup.KIND_AUTO,
    "cpu": pb.ModelInstanceGroup.KIND_CPU,
    "gpu": pb.ModelInstanceGroup.KIND_GPU,
}
_KIND_NAMES = {number: name for name, number in _KINDS.items()} | {
    pb.ModelInstanceGroup.KIND_MODEL: "auto"
}


@dataclass(frozen=True, slots=True)
class Read:
    """A message, understood.

    Attributes:
        config: what it says; of use only where there are no issues.
        issues: what cannot be, or is not supported.
        notes: what is passed over.
    """

    config: ModelConfig
    issues: tuple[Issue, ...]
    notes: tuple[Issue, ...]


def from_proto(message: pb.ModelConfig) -> Read:
    """What a message says, with everything that is wrong about it.

    ``name`` and ``backend`` may be empty: the directory and its files tell them.
    """
    issues = [*refused(message)]
    said = read_parameters({key: value.string_value for key, value in message.parameters.items()})
    issues += said.issues
    config = ModelConfig(
        name=message.name,
        backend=_backend(message, issues),
        max_batch=message.max_batch_size,
        inputs=tuple(_spec(tensor) for tensor in message.input),
        outputs=tuple(_spec(tensor) for tensor in message.output),
        filename=message.default_model_filename,
        versions=_policy(message, issues),
        instances=_instances(message, said),
        batching=_batching(message),
        objective_s=said.objective_s,
        variants=said.variants,
        shares=said.shares,
        parameters=said.rest,
    )
    issues += bounds.check(config)
    return Read(config, tuple(issues), (*passed_over(message), *said.notes))


def _backend(message: pb.ModelConfig, issues: list[Issue]) -> str:
    backend, platform = message.backend, message.platform
    if backend and backend not in BACKENDS:
        issues.append(Issue("backend", f"{backend[:40]!r} is not one of {', '.join(BACKENDS)}"))
    if platform and platform not in PLATFORMS:
        issues.append(Issue("platform", f"{platform[:40]!r} is not one of {', '.join(PLATFORMS)}"))
        return backend
    meant = PLATFORMS.get(platform, "")
    if backend and meant and backend != meant:
        issues.append(
            Issue("platform", f"{platform!r} means backend {meant!r}, but backend is {backend!r}")
        )
    return backend or meant


def _spec(tensor: pb.ModelInput | pb.ModelOutput) -> TensorSpec:
    return TensorSpec(tensor.name, DATA_TYPES.get(tensor.data_type, ""), tuple(tensor.dims))


def _policy(message: pb.ModelConfig, issues: list[Issue]) -> VersionPolicy:
    policy = message.version_policy
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return VersionPolicy(everything=True)
    if chosen == "specific":
        if not policy.specific.versions:
            issues.append(Issue("version_policy.specific", "names no version"))
        return VersionPolicy(specific=tuple(policy.specific.versions))
    if chosen == "latest":
        # Without a number it is one, as in Triton.
        return VersionPolicy(latest=policy.latest.num_versions or 1)
    return VersionPolicy()


def _instances(message: pb.ModelConfig, said: Understood) -> tuple[InstanceGroup, ...]:
    groups = []
    for group in message.instance_group:
        kind = _KIND_NAMES.get(group.kind, "")
        # A count that is not written is one, as in Triton.
        groups.append(InstanceGroup(group.count or 1, kind, tuple(group.gpus), said.threads))
    return tuple(groups) or (InstanceGroup(threads=said.threads),)


def _batching(message: pb.ModelConfig) -> Batching | None:
    if not message.HasField("dynamic_batching"):
        return None
    batching = message.dynamic_batching
    return Batching(
        preferred=tuple(batching.preferred_batch_size),
        max_queue_delay_s=batching.max_queue_delay_microseconds / 1e6,
        max_queue=batching.default_queue_policy.max_queue_size,
    )


def to_proto(config: ModelConfig) -> pb.ModelConfig:
    """A configuration as the ModelConfig call tells it; `from_proto` understands it again.

    What has no field there is in ``parameters``, as in a file.
    """
    message = pb.ModelConfig(
        name=config.name,
        backend=config.backend,
        platform=next((key for key, is_ in PLATFORMS.items() if is_ == config.backend), ""),
        max_batch_size=config.max_batch,
        default_model_filename=config.filename,
    )
    for spec in config.inputs:
        message.input.add(name=spec.name, data_type=_type(spec), dims=spec.shape)
    for spec in config.outputs:
        message.output.add(name=spec.name, data_type=_type(spec), dims=spec.shape)
    versions = config.versions
    if versions.everything:
        message.version_policy.all.SetInParent()
    elif versions.specific:
        message.version_policy.specific.versions.extend(versions.specific)
    else:
        message.version_policy.latest.num_versions = versions.latest
    for group in config.instances:
        message.instance_group.add(count=group.count, kind=_KINDS[group.kind], gpus=group.gpus)
    if config.batching is not None:
        batching = message.dynamic_batching
        batching.SetInParent()
        batching.preferred_batch_size.extend(config.batching.preferred)
        batching.max_queue_delay_microseconds = round(config.batching.max_queue_delay_s * 1e6)
        if config.batching.max_queue:
            batching.default_queue_policy.max_queue_size = config.batching.max_queue
    for key, value in _parameters(config).items():
        message.parameters[key].string_value = value
    return message


def _type(spec: TensorSpec) -> Any:
    return _NUMBERS[spec.dtype]


def _parameters(config: ModelConfig) -> dict[str, str]:
    told = dict(config.parameters)
    if config.objective_s is not None:
        told[OBJECTIVE] = format(config.objective_s * 1e3, ".15g")
    # A file says it once for all groups.
    threads = max((group.threads for group in config.instances), default=0)
    if threads:
        told[THREADS] = str(threads)
    told |= {VARIANT + name: file for name, file in config.variants.items()}
    told |= {SHARE + version: repr(share) for version, share in config.shares.items()}
    return told
