"""What the protocol says about models: metadata, states, statistics. From our words to its own."""

from __future__ import annotations

from collections.abc import Sequence

from secondlook.cloud.engine.catalogue import Entry
from secondlook.cloud.engine.statistics import Duration, Statistics
from secondlook.cloud.engine.tensors import Signature, TensorSpec
from secondlook.oip import inference_pb2 as pb
from secondlook.oip import model_config_pb2 as config_pb

EXTENSIONS = (
    "model_repository",
    "model_configuration",
    "parameters",
    "schedule_policy",
    "statistics",
)
"""The extensions of the protocol that are served, by the names their specification gives them."""


def metadata(
    name: str, versions: Sequence[str], platform: str, signature: Signature
) -> pb.ModelMetadataResponse:
    """A model, its ready versions and its tensors."""
    told = pb.ModelMetadataResponse(name=name, versions=versions, platform=platform)
    batch = [-1] if signature.max_batch else []
    for spec in signature.inputs:
        told.inputs.add(name=spec.name, datatype=spec.dtype, shape=batch + list(spec.shape))
    for spec in signature.outputs:
        told.outputs.add(name=spec.name, datatype=spec.dtype, shape=batch + list(spec.shape))
    return told


def completed(told: config_pb.ModelConfig, signature: Signature) -> config_pb.ModelConfig:
    """Add to a configuration what it leaves to the model's file."""
    if not told.max_batch_size:
        told.max_batch_size = signature.max_batch
    if not told.input:
        for spec in signature.inputs:
            told.input.add(name=spec.name, data_type=datatype(spec), dims=spec.shape)
    if not told.output:
        for spec in signature.outputs:
            told.output.add(name=spec.name, data_type=datatype(spec), dims=spec.shape)
    return told


def datatype(spec: TensorSpec) -> config_pb.DataType.ValueType:
    """The configuration's name of a tensor's type."""
    kind = "STRING" if spec.dtype == "BYTES" else spec.dtype
    return config_pb.DataType.Value(f"TYPE_{kind}")


def index(entries: Sequence[Entry]) -> pb.RepositoryIndexResponse:
    """Every version and its state."""
    told = pb.RepositoryIndexResponse()
    for entry in entries:
        told.models.add(
            name=entry.name, version=entry.version, state=entry.state.value, reason=entry.reason
        )
    return told


def statistics(name: str, counted: Statistics) -> pb.ModelStatistics:
    """What a version has done since it was loaded."""
    told = pb.ModelStatistics(
        name=name,
        version=counted.version,
        last_inference=counted.last_inference_ms,
        inference_count=counted.inferences,
        execution_count=counted.executions,
        inference_stats=pb.InferStatistics(
            success=_duration(counted.success),
            fail=_duration(counted.fail),
            queue=_duration(counted.queue),
            compute_input=_duration(counted.compute_input),
            compute_infer=_duration(counted.compute_infer),
            compute_output=_duration(counted.compute_output),
            cache_hit=_duration(counted.cache_hit),
            cache_miss=_duration(counted.cache_miss),
        ),
    )
    for rows, spent in sorted(counted.batches.items()):
        told.batch_stats.add(batch_size=rows, compute_infer=_duration(spent))
    return told


def _duration(spent: Duration) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=spent.count, ns=spent.ns)
