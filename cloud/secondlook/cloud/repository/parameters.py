"""What ``parameters`` of ``config.pbtxt`` say for which Triton has no field.

| key | value |
|---|---|
| ``objective_ms`` | latency that is held by choosing batch, variant and version, milliseconds |
| ``variant.NAME`` | file of the same release in another precision, as ``model.int8.onnx`` |
| ``share.VERSION`` | share of the requests that name no version; the shares are scaled to 1 |
| ``threads`` | threads of each instance; also by Triton's name ``intra_op_thread_count`` |
| ``task`` | ``detect``: from image to boxes as well; ``raw``: tensors alone |
| ``head``, ``names``, ``input_layout``, ``letterbox`` | how a detector is read |
| ``pad``, ``strides``, ``size`` | likewise, where its file does not tell |
| ``min_score``, ``nms_iou`` | score below which boxes go unsaid; overlap that suppresses a box |
| ``providers`` | execution providers to try, with commas between |
| ``address`` | ``host:port`` of another server, for the backend ``remote`` |
| ``remote_model``, ``remote_version`` | what it is called there, where the name differs |
| ``timeout_s``, ``tls`` | longest wait for that server; whether it speaks TLS |

Any other key is kept and handed on as it is.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from secondlook.cloud.repository.config import MAIN_VARIANT
from secondlook.cloud.repository.findings import Issue
from secondlook.shared.detect.declaration import Declaration
from secondlook.shared.errors import InvalidModel

MAX_PARAMETERS = 256
MAX_KEY = 128
MAX_VALUE = 65_536
MAX_THREADS = 1024
MAX_OBJECTIVE_MS = 600_000.0

VARIANT, SHARE = "variant.", "share."
THREADS, TRITON_THREADS = "threads", "intra_op_thread_count"
OBJECTIVE = "objective_ms"

_VARIANT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_VERSION = re.compile(r"[1-9][0-9]{0,18}")
_ADDRESS = re.compile(r"(?:grpcs?://)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}|unix:\S+")
_NUMBERS = re.compile(r"\s*[0-9]{1,6}(\s*[,x]?\s*[0-9]{1,6}){0,7}\s*")


@dataclass(slots=True)
class Understood:
    """The parameters, read.

    Attributes:
        objective_s: see `ModelConfig.objective_s`.
        threads: of each instance; 0: one per core.
        variants: name to file.
        shares: version to share; as written, not scaled.
        rest: every other one, as text.
        issues: what cannot be.
        notes: what looks like a slip of the pen.
    """

    objective_s: float | None = None
    threads: int = 0
    variants: dict[str, str] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    rest: dict[str, str] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    notes: list[Issue] = field(default_factory=list)


def is_file_name(text: str) -> bool:
    """Whether it names a file beside others, and leads nowhere else."""
    return _FILE_NAME.fullmatch(text) is not None


def read_parameters(parameters: Mapping[str, str]) -> Understood:
    """Sort them, with what is wrong about each."""
    said = Understood()
    if len(parameters) > MAX_PARAMETERS:
        said.issues.append(
            Issue("parameters", f"{len(parameters)} of them; at most {MAX_PARAMETERS} are read")
        )
        return said
    for key in sorted(parameters):
        _read(said, key, parameters[key])
    return said


def _read(said: Understood, key: str, value: str) -> None:
    where = f"parameters[{key}]"
    problem = ""
    if not 1 <= len(key) <= MAX_KEY or not key.isprintable():
        where, problem = "parameters", f"key {key[:40]!r} is not one of 1 to {MAX_KEY} characters"
    elif len(value) > MAX_VALUE:
        problem = f"{len(value)} characters; at most {MAX_VALUE} are read"
    elif key == OBJECTIVE:
        number = _number(value)
        if 0 < number <= MAX_OBJECTIVE_MS:
            said.objective_s = number / 1e3
        else:
            problem = f"{value[:40]!r} is no time of above 0 to {MAX_OBJECTIVE_MS:.0f} milliseconds"
    elif key in (THREADS, TRITON_THREADS):
        if re.fullmatch("[0-9]{1,4}", value) and int(value) <= MAX_THREADS:
            said.threads = int(value)
        else:
            problem = f"{value[:40]!r} is no number of threads; 0 to {MAX_THREADS} expected"
    elif key.startswith(VARIANT):
        problem = _variant(said, key.removeprefix(VARIANT), value)
    elif key.startswith(SHARE):
        problem = _share(said, key.removeprefix(SHARE), value)
    else:
        said.rest[key] = value
        if key in _DECLARED:
            problem = _undeclarable(key, value)
        elif key in _KNOWN:
            fits, expected = _KNOWN[key]
            problem = "" if fits(value) else f"{value[:40]!r} is not {expected}"
        else:
            _suspect(said, key, where)
    if problem:
        said.issues.append(Issue(where, problem))


def _variant(said: Understood, name: str, value: str) -> str:
    if not _VARIANT_NAME.fullmatch(name) or name == MAIN_VARIANT:
        return f"{name[:40]!r} is no name of a variant; one such as int8 or fp16 is expected"
    if not is_file_name(value):
        return f"{value[:60]!r} is no file name; a file in the version's directory is expected"
    said.variants[name] = value
    return ""


def _share(said: Understood, version: str, value: str) -> str:
    if not _VERSION.fullmatch(version):
        return f"{version[:40]!r} is no version; a number from 1 is expected"
    share = _number(value)
    if not 0 <= share <= 1e6:
        return f"{value[:40]!r} is no share; a number from 0 is expected"
    said.shares[version] = share
    return ""


def _undeclarable(key: str, value: str) -> str:
    try:
        Declaration.model_validate({key: value})
    except InvalidModel as error:
        return error.message
    except ValidationError as error:
        return f"{value[:40]!r}: {error.errors()[0]['msg']}"
    return ""


def _suspect(said: Understood, key: str, where: str) -> None:
    close = difflib.get_close_matches(key.lower(), _NAMES, n=1, cutoff=0.8)
    if close:
        said.notes.append(Issue(where, f"is not known and changes nothing; is {close[0]} meant?"))


def _number(text: str) -> float:
    """NaN, which lies in no range, for what is none."""
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


_KNOWN: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "task": (lambda v: v in ("detect", "raw"), "detect or raw"),
    "pad": (lambda v: 0 <= _number(v) <= 255, "a grey of 0 to 255"),
    "strides": (lambda v: _NUMBERS.fullmatch(v) is not None, "numbers, with commas between"),
    "size": (lambda v: _NUMBERS.fullmatch(v) is not None, "width and height, as 640,384"),
    "min_score": (lambda v: 0 < _number(v) < 1, "a score above 0 and below 1"),
    "nms_iou": (lambda v: 0 < _number(v) <= 1, "an overlap above 0, at most 1"),
    "providers": (lambda v: all(part.strip() for part in v.split(",")), "a list of providers"),
    "address": (lambda v: _ADDRESS.fullmatch(v) is not None, "an address, as host:port"),
    "remote_model": (lambda v: bool(v.strip()), "the name of a model"),
    "remote_version": (lambda v: bool(v.strip()), "a version"),
    "timeout_s": (lambda v: 0 < _number(v) <= 600, "a time of above 0 to 600 seconds"),
    "tls": (lambda v: v in ("true", "false"), "true or false"),
}

_DECLARED = ("head", "names", "input_layout", "letterbox")
"""Checked as a sidecar's fields are."""

_NAMES = (*_KNOWN, *_DECLARED, OBJECTIVE, THREADS)
