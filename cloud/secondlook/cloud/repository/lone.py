"""A single file as a release: ``[[models]]`` of ``cloud.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from secondlook.cloud.repository.complete import complete
from secondlook.cloud.repository.config import Batching, InstanceGroup, ModelConfig, Release
from secondlook.cloud.repository.described import Description
from secondlook.cloud.repository.findings import FaultyConfig
from secondlook.cloud.repository.parameters import read_parameters
from secondlook.cloud.repository.reading import Reader
from secondlook.shared.detect.declaration import from_metadata, from_sidecar
from secondlook.shared.errors import InvalidModel


def lone_release(
    file: Path,
    *,
    name: str,
    version: str | None = None,
    max_batch: int = 0,
    threads: int = 0,
    batching: Batching | None = None,
    parameters: Mapping[str, str] | None = None,
) -> Release:
    """Describe one file outside any repository. Blocking.

    Args:
        file: the model.
        name: what it is called.
        version: its release; by default what its sidecar or metadata says, else ``sha256:`` and
            12 digits.
        max_batch: most rows in one call; 0: what the file allows, at most 16.
        threads: threads of the network; 0: one per core.
        batching: how requests are put together.
        parameters: as in a configuration, such as ``min_score``.

    Raises:
        InvalidModel: the file is missing, broken, or takes no such batch.
        InvalidConfig: a parameter that cannot be.
    """
    said = read_parameters(parameters or {})
    if said.issues:
        raise FaultyConfig(f"model {name!r}", said.issues)
    reader = Reader()
    digest = reader.digest(file)
    described = reader.describe(file, digest)
    config = ModelConfig(
        name,
        described.backend,
        instances=(InstanceGroup(threads=threads),),
        batching=batching,
        objective_s=said.objective_s,
        parameters=said.rest,
        derived=True,
    )
    config = complete(config, described, file, batch_said=False)
    if max_batch and config.max_batch:
        config = replace(config, max_batch=min(max_batch, described.max_rows or max_batch))
    return Release(config, version or _version(file, described, digest), file, digest=digest)


def _version(file: Path, described: Description, digest: str) -> str:
    declared = from_sidecar(file)
    if declared is not None and declared.version:
        return declared.version
    try:
        found = from_metadata(described.metadata, file.name).version
    except InvalidModel:
        # No detector: what it says of itself is of no other use here.
        found = described.metadata.get("version")
    return found or f"sha256:{digest[:12]}"
