"""Fields of ``config.pbtxt`` that other servers understand: refused, or passed over, by name.

Refused is what changes the answers or the way of asking: served without it, a model would not do
what its author meant. Passed over is what only changes speed, or what the service does by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from secondlook.cloud.repository.findings import Issue

BACKENDS = ("onnxruntime", "pytorch", "ultralytics", "remote")
"""What runs a model."""

PLATFORMS: Mapping[str, str] = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
}
"""The older word for backend, and which one it means."""

_REFUSED: Mapping[str, str] = {
    "sequence_batching": "sequences of requests are not supported; each request is one of its own",
    "ensemble_scheduling": "ensembles are not supported; export the steps as one model",
    "cc_model_filenames": "files by compute capability are not supported; use one model",
    "model_repository_agents": "agents are not supported; for checksums put a SHA256SUMS file "
    "into the version's directory",
    "batch_input": "ragged batches are not supported",
    "batch_output": "ragged batches are not supported",
    "model_operations": "libraries of custom operations are not loaded",
}

_PASSED_OVER: Mapping[str, str] = {
    "optimization": "the backend optimises by itself; parameters[providers] names accelerators",
    "model_warmup": "every release is warmed up before it serves",
    "response_cache": "the verdict cache is set in cloud.toml, for all models",
    "metric_tags": "metrics carry model and version",
    "model_metrics": "metrics carry model and version",
    "runtime": "the backend knows its library",
}

_OF_INPUT: Mapping[str, str] = {
    "reshape": "reshapes are not supported; dims are those of the file",
    "is_shape_tensor": "shape tensors are not supported",
    "allow_ragged_batch": "ragged batches are not supported",
    "optional": "every input is needed",
    "is_non_linear_format_io": "only linear layouts are supported",
}

_OF_OUTPUT: Mapping[str, str] = {
    "reshape": _OF_INPUT["reshape"],
    "is_shape_tensor": _OF_INPUT["is_shape_tensor"],
    "is_non_linear_format_io": _OF_INPUT["is_non_linear_format_io"],
}

_OF_GROUP: Mapping[str, str] = {
    "profile": "profiles are TensorRT's own",
    "host_policy": "the host's policies are its own",
    "rate_limiter": "admission is by queue and deadline",
    "secondary_devices": "a model runs on one device",
}


def refused(message: Any) -> Iterator[Issue]:
    """What makes a configuration one that is not served."""
    for name in _set(message, _REFUSED):
        yield Issue(name, _REFUSED[name])
    if message.model_transaction_policy.decoupled:
        yield Issue(
            "model_transaction_policy.decoupled", "one request has one answer; not supported"
        )
    for place, tensor in enumerate(message.input):
        for name in _set(tensor, _OF_INPUT):
            yield Issue(f"input[{place}].{name}", _OF_INPUT[name])
    for place, tensor in enumerate(message.output):
        for name in _set(tensor, _OF_OUTPUT):
            yield Issue(f"output[{place}].{name}", _OF_OUTPUT[name])
    for place, group in enumerate(message.instance_group):
        if group.passive:
            yield Issue(f"instance_group[{place}].passive", "passive instances are not supported")


def passed_over(message: Any) -> Iterator[Issue]:
    """What is read, and changes nothing."""
    for name in _set(message, _PASSED_OVER):
        yield Issue(name, _PASSED_OVER[name])
    for place, tensor in enumerate(message.output):
        if tensor.label_filename:
            yield Issue(
                f"output[{place}].label_filename", "class names come from parameters[names]"
            )
    for place, group in enumerate(message.instance_group):
        for name in _set(group, _OF_GROUP):
            yield Issue(f"instance_group[{place}].{name}", _OF_GROUP[name])
    batching = message.dynamic_batching
    for name in ("priority_levels", "default_priority_level", "priority_queue_policy"):
        if getattr(batching, name):
            yield Issue(
                f"dynamic_batching.{name}", "priority comes from the purpose of each request"
            )
    if batching.preserve_ordering:
        yield Issue("dynamic_batching.preserve_ordering", "each answer names its request")
    policy = batching.default_queue_policy
    for name in ("timeout_action", "default_timeout_microseconds", "allow_timeout_override"):
        if getattr(policy, name):
            yield Issue(
                f"dynamic_batching.default_queue_policy.{name}",
                "each request brings its deadline; after it, it is dropped",
            )


def _set(message: Any, names: Mapping[str, str]) -> list[str]:
    written = {field.name for field, _ in message.ListFields()}
    return [name for name in names if name in written]
