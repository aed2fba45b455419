"""The record of a variant: made from which file, how, and how well it agrees with it.

`secondlook models quantize` writes ``quantization.json`` beside the model; a variant is loaded
only where its record speaks of exactly the files that are there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from secondlook.cloud.repository.config import MAIN_VARIANT, Release
from secondlook.cloud.repository.files import read_at_most
from secondlook.shared.detect.session import file_digest
from secondlook.shared.errors import InvalidModel

RECORD = "quantization.json"
MAX_RECORD_BYTES = 1_000_000


class Measured(BaseModel):
    """One variant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(description="Name of the variant's file.")
    sha256: str = Field(description="Digest of it.")
    base: str = Field(description="Name of the file that it was made from.")
    base_sha256: str = Field(description="Digest of that.")
    f1: float = Field(
        ge=0, le=1, description="Agreement of its boxes with those of the base, as F1 at IoU 0.5."
    )
    min_f1: float = Field(ge=0, le=1, description="The agreement that was asked for.")
    score: float = Field(ge=0, le=1, description="Score from which boxes were compared.")
    images: int = Field(ge=1, description="Images on which the agreement was measured.")
    boxes: int = Field(ge=0, description="Boxes of the base on them.")
    speed: float = Field(gt=0, description="Time of a call of the base by that of the variant.")
    provider: str = Field(description="What ran both.")
    left_out: int = Field(ge=0, description="Nodes that were kept in the base's precision.")
    tools: Mapping[str, str] = Field(description="Libraries that made it, and their versions.")
    made: str = Field(description="When, as ISO 8601 in UTC.")


class Record(BaseModel):
    """What ``quantization.json`` holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    variants: Mapping[str, Measured] = Field(description="By the variant's name.")


def read_record(folder: Path) -> Record:
    """The record of a folder; an empty one where there is none.

    Raises:
        InvalidModel: it cannot be read.
    """
    path = folder / RECORD
    try:
        data = read_at_most(path, MAX_RECORD_BYTES)
        if len(data) > MAX_RECORD_BYTES:
            raise InvalidModel(f"{path} is larger than {MAX_RECORD_BYTES} bytes")
        return Record.model_validate_json(data)
    except FileNotFoundError:
        return Record(variants={})
    except OSError as error:
        raise InvalidModel(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise InvalidModel(
            f"{path}: {where}: {first['msg']}", remedy="make the variant again"
        ) from error


def write_record(folder: Path, name: str, measured: Measured) -> None:
    """Put one variant into the folder's record, in one step; the others stay.

    Raises:
        InvalidModel: the record that is there cannot be read.
    """
    record = read_record(folder)
    both = Record(variants={**record.variants, name: measured})
    fresh = folder / f".{RECORD}.new"
    fresh.write_text(json.dumps(both.model_dump(mode="json"), indent=2, sort_keys=True) + "\n")
    fresh.replace(folder / RECORD)


def check_variant(release: Release) -> None:
    """Refuse a variant whose agreement with its base is not on record. Blocking: reads both files.

    Raises:
        InvalidModel: no record, one of other files, or one of too little agreement.
    """
    if release.variant == MAIN_VARIANT:
        return
    file = release.file
    what = f"variant {release.variant} of model {release.config.name} ({file})"
    remedy = f"secondlook models quantize makes and measures it, and writes {RECORD}"
    measured = read_record(file.parent).variants.get(release.variant)
    if measured is None or measured.file != file.name:
        raise InvalidModel(
            f"{what} has no measured agreement with the model it was made from", remedy=remedy
        )
    base = file.with_name(Path(measured.base).name)
    for path, digest in ((file, measured.sha256), (base, measured.base_sha256)):
        if file_digest(path) != digest:
            raise InvalidModel(
                f"{what}: its agreement was measured with another {path.name}", remedy=remedy
            )
    if measured.f1 < measured.min_f1:
        raise InvalidModel(
            f"{what} agrees with its base only to F1 {measured.f1:.3f}; "
            f"{measured.min_f1:.3f} was asked for"
        )
