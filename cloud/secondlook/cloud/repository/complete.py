"""A configuration and a file become one: what is missing is derived, what is said is checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from secondlook.cloud.engine.tensors import TensorSpec
from secondlook.cloud.repository.config import Batching, ModelConfig
from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.shared.errors import InvalidModel

DERIVED_MAX_BATCH = 16
"""Most rows in one call where nothing is configured and the file leaves its first axis open; the
batcher learns which of the sizes up to it pays."""


def complete(
    config: ModelConfig, described: Description, file: Path, *, batch_said: bool
) -> ModelConfig:
    """The configuration of one file.

    Args:
        config: what is configured; ``inputs`` and ``outputs`` may be empty.
        described: what the file tells of itself.
        file: the file, for error messages.
        batch_said: whether ``max_batch`` is configured, be it as 0.

    Raises:
        InvalidModel: the file contradicts the configuration, or tells nothing where nothing is
            configured either.
    """
    config = _with_batch(config, described, file, batch_said)
    lead = (-1,) if config.max_batch else ()
    for kind, stated, found in (
        ("input", config.inputs, described.inputs),
        ("output", config.outputs, described.outputs),
    ):
        _compare(kind, stated, found, lead, file)
    missing = [name for name in ("input", "output") if not getattr(config, f"{name}s")]
    if not described.told and missing and config.backend == "pytorch":
        raise InvalidModel(
            f"{file} does not tell its {missing[0]}s",
            remedy=f"state each {missing[0]} in config.pbtxt: name, data_type, dims",
        )
    return replace(
        config,
        inputs=config.inputs or _specs(described.inputs, len(lead)),
        outputs=config.outputs or _specs(described.outputs, len(lead)),
    )


def _with_batch(
    config: ModelConfig, described: Description, file: Path, batch_said: bool
) -> ModelConfig:
    derive = not batch_said and not config.inputs and not config.outputs
    if derive:
        # A detector of ultralytics says nothing of its tensors, and takes any number of images.
        open_ended = described.batches or (not described.told and config.backend != "pytorch")
        most = min(DERIVED_MAX_BATCH, described.max_rows or DERIVED_MAX_BATCH)
        batch = most if open_ended else 0
        batching = config.batching or (Batching() if batch else None)
        config = replace(config, max_batch=batch, batching=batching)
    if config.batching is not None:
        most = config.max_batch
        beyond = [size for size in config.batching.preferred if size > max(most, 1)]
        if beyond:
            raise InvalidModel(
                f"{file}: dynamic_batching.preferred_batch_size {beyond[0]} is configured, but "
                f"at most {max(most, 1)} rows go into one call"
            )
    if not config.max_batch:
        # Without a batch axis there is nothing to put together.
        return replace(config, batching=None)
    if not described.told:
        return config
    if config.max_batch > described.max_rows > 0:
        raise InvalidModel(
            f"{file}: max_batch_size is {config.max_batch}, but the file takes at most "
            f"{described.max_rows} rows"
        )
    for tensor in (*described.inputs, *described.outputs):
        # One row at most, and a file that takes just one: both say the same.
        single = config.max_batch == 1 and tensor.shape is not None and tensor.shape[:1] == (1,)
        if not tensor.open_first and not single:
            raise InvalidModel(
                f"{file}: max_batch_size is {config.max_batch}, but the first axis of "
                f"{tensor} is not open",
                remedy="set max_batch_size: 0 and give dims with every axis, or export the "
                "model with an open first axis",
            )
    return config


def _compare(
    kind: str,
    stated: Sequence[TensorSpec],
    found: Sequence[FileTensor],
    lead: tuple[int, ...],
    file: Path,
) -> None:
    if not stated or not found:
        return
    by_name = {tensor.name: tensor for tensor in found}
    names = ", ".join(repr(name) for name in by_name)
    for spec in stated:
        tensor = by_name.get(spec.name)
        if tensor is None:
            raise InvalidModel(
                f"{file}: {kind} {spec.name!r} is configured, but the file has {names}"
            )
        if spec.dtype != tensor.dtype:
            raise InvalidModel(
                f"{file}: {kind} {spec.name!r} is configured as {spec.dtype}, but the file has "
                f"{tensor.dtype}"
            )
        wanted = (*lead, *spec.shape)
        if tensor.shape is not None and not _fits(wanted, tensor.shape, bool(lead)):
            raise InvalidModel(
                f"{file}: {kind} {spec.name!r} is configured with shape {list(wanted)}"
                + (" (the batch axis first)" if lead else "")
                + f", but the file has {list(tensor.shape)}"
            )
    unsaid = by_name.keys() - {spec.name for spec in stated}
    if kind == "input" and unsaid:
        raise InvalidModel(
            f"{file}: {kind} {min(unsaid)!r} of the file is not configured; it has {names}"
        )


def _fits(wanted: tuple[int, ...], actual: tuple[int, ...], batched: bool) -> bool:
    """Whether every array of the configured shape suits the file."""
    if len(wanted) != len(actual):
        return False
    pairs = list(zip(wanted, actual, strict=True))
    return all(has in (-1, want) for want, has in (pairs[1:] if batched else pairs))


def _specs(found: Sequence[FileTensor], skip: int) -> tuple[TensorSpec, ...]:
    # Of unknown axes nothing better can be said than one of any length.
    return tuple(
        TensorSpec(t.name, t.dtype, (-1,) if t.shape is None else t.shape[skip:]) for t in found
    )
