"""The gate file: a trained risk model, what it was trained on, and what it promises. JSON text.

``secondlook calibrate`` writes it, `secondlook.edge.gate.opening` gives it to the daemon and to
``secondlook price``. Nothing in it runs: it holds numbers and names, and every one is checked.

A file of another schema is refused, not guessed at. Columns are named, so that a file outlives the
order of the columns; a column that this version does not know is an error, because leaving it out
would give other probabilities than those that were measured.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from secondlook.edge.gate.gate_parts import (
    BranchChoice,
    Branches,
    ClipFacts,
    ClipScore,
    Goal,
    ModelId,
    Name,
    Part,
    Promise,
    Text,
)
from secondlook.shared.errors import InvalidConfig

SCHEMA = 1
FORMAT = "secondlook-gate"
MAX_FILE_BYTES = 1_000_000
"""A real file has some 20 KB."""
_REMEDY = "make it again with `secondlook calibrate`, or leave gate.file empty"


class GateFile(Part):
    """Everything in the file but its format, schema and fingerprint.

    Attributes:
        note: free text.
        made_at: when, ISO 8601 in UTC.
        made_by: version of Secondlook.
        light, heavy: the models whose answers were compared.
        classes: that counted.
        threshold: for ``gate.threshold`` where the settings do not say.
        risk: the model.
        choices: why each branch is what it is; empty where nothing was chosen.
        clips: what was watched.
        scores: edge alone.
        promise: with the cloud; ``None`` where it was not measured.
        goal: what the threshold was chosen for.
    """

    note: str = Field("", max_length=2000)
    made_at: Text = ""
    made_by: Text = ""
    light: ModelId
    heavy: ModelId
    classes: tuple[Name, ...] = Field(max_length=1000)
    threshold: float = Field(gt=0, le=1)
    risk: Branches
    choices: dict[Literal["present", "same_class", "confirmed", "refuted"], BranchChoice] = Field(
        default_factory=dict
    )
    clips: tuple[ClipFacts, ...] = Field((), max_length=256)
    scores: tuple[ClipScore, ...] = Field((), max_length=256)
    promise: Promise | None = None
    goal: Goal = Goal()

    @property
    def fingerprint(self) -> str:
        """``sha256:`` and 64 hex digits: of all but free text, and when and by what it was made."""
        data = self.model_dump(mode="json", exclude={"note", "made_at", "made_by"})
        for number, clip in enumerate(data["clips"]):
            clip["name"] = number
        for number, score in enumerate(data["scores"]):
            score["clip"] = number
        if data["promise"] is not None:
            for number, points in enumerate(data["promise"]["clips"]):
                points["clip"] = number
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return f"sha256:{hashlib.sha256(f'{SCHEMA}{text}'.encode()).hexdigest()}"

    def text(self) -> str:
        """The content of the file."""
        data = {
            "format": FORMAT,
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            **self.model_dump(mode="json"),
        }
        return json.dumps(data, indent=1, allow_nan=False) + "\n"


def parse_gate(text: str, where: str = "gate file") -> GateFile:
    """Read the content of a gate file.

    Raises:
        InvalidConfig: names the field, and what helps.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except RecursionError:
        raise InvalidConfig(f"{where}: nested too deeply", remedy=_REMEDY) from None
    except ValueError as error:
        raise InvalidConfig(f"{where} is not JSON: {error}", remedy=_REMEDY) from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InvalidConfig(f"{where}: format: {FORMAT!r} expected", remedy=_REMEDY)
    schema = data.get("schema")
    if isinstance(schema, bool) or schema != SCHEMA:
        newer = isinstance(schema, int) and schema > SCHEMA
        raise InvalidConfig(
            f"{where}: schema: {schema!r}; this Secondlook reads {SCHEMA}",
            remedy="a newer Secondlook wrote it: upgrade this one" if newer else _REMEDY,
        )
    stated = data.get("fingerprint")
    fields = {k: v for k, v in data.items() if k not in ("format", "schema", "fingerprint")}
    try:
        # JSON, not Python: its lists may become tuples, and yet no text becomes a number.
        gate = GateFile.model_validate_json(json.dumps(fields))
    except ValidationError as error:
        raise InvalidConfig(f"{where}: {_first(error)}", remedy=_REMEDY) from None
    except ValueError as error:  # a number or a text that JSON cannot carry on
        raise InvalidConfig(f"{where}: {error}", remedy=_REMEDY) from None
    if stated != gate.fingerprint:
        raise InvalidConfig(
            f"{where}: fingerprint: the content is not what was written, "
            f"{gate.fingerprint[:19]} and not {str(stated)[:19]}",
            remedy=_REMEDY,
        )
    return gate


def load_gate(path: str | Path) -> GateFile:
    """Read a gate file. Blocking.

    Raises:
        InvalidConfig: it is missing, cannot be read, is too large, damaged or of another schema;
            names the field, and what helps.
    """
    where = f"gate file {path}"
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise InvalidConfig(f"{where} does not exist", remedy=_REMEDY) from None
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InvalidConfig(f"{where} cannot be read: {said}", remedy=_REMEDY) from None
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidConfig(f"{where} is larger than {MAX_FILE_BYTES} bytes", remedy=_REMEDY)
    try:
        return parse_gate(raw.decode(), where)
    except UnicodeDecodeError as error:
        raise InvalidConfig(f"{where} is not UTF-8: {error.reason}", remedy=_REMEDY) from None


def save_gate(gate: GateFile, path: Path) -> None:
    """Write a gate file so that a reader sees all of it or nothing. Blocking.

    Raises:
        InvalidConfig: it cannot be written, or would be too large to be read.
    """
    raw = gate.text().encode()
    if len(raw) > MAX_FILE_BYTES:
        raise InvalidConfig(f"gate file {path} would be larger than {MAX_FILE_BYTES} bytes")
    part = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            part = Path(file.name)
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        # As a file that was made in the ordinary way, not for its owner's eyes only.
        part.chmod(0o644)
        part.replace(path)
    except OSError as error:
        raise InvalidConfig(f"gate file {path} cannot be written: {error.strerror}") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _no_doubles(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{double!r} occurs twice")
    return found


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message
