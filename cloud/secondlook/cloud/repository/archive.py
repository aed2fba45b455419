"""What torch's files say of themselves, read without torch.

All are zip archives. ``.pt2`` of ``torch.export.save`` holds the exported program as JSON
(``models/model.json``, before torch 2.8 ``serialized_exported_program.json``); TorchScript holds
``code/``, and does not tell shapes; a checkpoint of ultralytics holds a pickle that names its
classes. Nothing is unpickled here. Source of the JSON: torch/_export/serde/schema.py.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from secondlook.cloud.repository.described import Description, FileTensor
from secondlook.shared.errors import InvalidModel

MAX_ENTRIES = 100_000
MAX_PROGRAM_BYTES = 64 * 1024 * 1024
"""Largest description of a program, unpacked: a small archive must not become a large one."""

_DTYPES: Mapping[int, str] = {
    1: "UINT8",
    2: "INT8",
    3: "INT16",
    4: "INT32",
    5: "INT64",
    6: "FP16",
    7: "FP32",
    8: "FP64",
    12: "BOOL",
    13: "BF16",
    28: "UINT16",
    34: "UINT32",
    35: "UINT64",
}

_PROGRAMS = ("models/model.json", "serialized_exported_program.json")


def describe_archive(file: Path) -> Description:
    """What a ``.pt`` or ``.pt2`` says of itself.

    Raises:
        InvalidModel: truncated, corrupt, or neither a program nor a checkpoint that is known.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return _describe(file, archive)
    except zipfile.BadZipFile as error:
        raise InvalidModel(
            f"{file} is no archive of torch, or truncated: {error}", remedy="copy it again"
        ) from error
    except (OSError, NotImplementedError, RuntimeError, EOFError) as error:
        # Unreadable, packed in an unknown way, encrypted, cut.
        raise InvalidModel(f"{file} cannot be read: {error}", remedy="copy it again") from error


def _describe(file: Path, archive: zipfile.ZipFile) -> Description:
    names = archive.namelist()
    if len(names) > MAX_ENTRIES:
        raise InvalidModel(f"{file} has {len(names)} parts; at most {MAX_ENTRIES} are read")
    program = next((name for name in names if name.endswith(_PROGRAMS)), None)
    if program is not None:
        return _program(file, _unpacked(file, archive, program))
    if file.suffix == ".pt2":
        raise InvalidModel(
            f"{file} holds no exported program",
            remedy="write it with torch.export.save; compiled packages are not loaded",
        )
    if any("/code/" in name for name in names):
        return Description("pytorch")
    pickled = next((name for name in names if name.endswith("data.pkl")), None)
    if pickled is not None and b"ultralytics" in _unpacked(file, archive, pickled):
        return Description("ultralytics")
    raise InvalidModel(
        f"{file} is neither TorchScript nor a checkpoint of ultralytics",
        remedy="a file of weights alone cannot be served: save it with torch.export.save",
    )


def _unpacked(file: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > MAX_PROGRAM_BYTES:
        raise InvalidModel(f"{file}: {name} is larger than {MAX_PROGRAM_BYTES} bytes")
    with archive.open(name) as part:
        return part.read(MAX_PROGRAM_BYTES + 1)


def _program(file: Path, data: bytes) -> Description:
    try:
        said = json.loads(data)
        module = said["graph_module"]
        values = module["graph"]["tensor_values"]
        signature = module["signature"]
        inputs = [*_named(file, signature["input_specs"], "user_input", values)]
        outputs = [*_named(file, signature["output_specs"], "user_output", values)]
        names = _keys(module)
        limit = _limit(said, signature["input_specs"], values)
        metadata = {"torch_version": str(said.get("torch_version", ""))}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InvalidModel):
            raise
        raise InvalidModel(
            f"{file}: its program cannot be read: {type(error).__name__} {error!s:.100}",
            remedy="write it again with torch.export.save",
        ) from error
    if len(names) == len(outputs):
        outputs = [
            FileTensor(name, tensor.dtype, tensor.shape)
            for name, tensor in zip(names, outputs, strict=True)
        ]
    return Description("pytorch", tuple(inputs), tuple(outputs), metadata, limit)


def _named(file: Path, specs: Any, kind: str, values: Any) -> Iterator[FileTensor]:
    for spec in specs:
        if kind not in spec:
            continue
        arg = spec[kind]["arg"]
        if "as_tensor" not in arg:
            raise InvalidModel(
                f"{file}: {kind} {str(arg)[:60]} is no tensor; only those are served"
            )
        name = str(arg["as_tensor"]["name"])
        value = values[name]
        dtype = _DTYPES.get(value["dtype"])
        if dtype is None:
            raise InvalidModel(f"{file}: {name!r} is of a type that no call can carry")
        yield FileTensor(name, dtype, tuple(_length(size) for size in value["sizes"]))


def _length(size: Any) -> int:
    length = size.get("as_int", -1)
    return length if isinstance(length, int) and length > 0 else -1


def _keys(module: Any) -> list[str]:
    """Keys of the dictionary that the program returns; empty where it returns something else."""
    spec = module["module_call_graph"][0]["signature"]["out_spec"]
    tree = json.loads(spec)[1]
    if tree["type"] != "builtins.dict":
        return []
    return [str(key) for key in json.loads(tree["context"])]


def _limit(said: Any, specs: Any, values: Any) -> int:
    """Longest first axis of the first input; 0: no limit is known."""
    for spec in specs:
        if "user_input" in spec:
            sizes = values[spec["user_input"]["arg"]["as_tensor"]["name"]]["sizes"]
            text = sizes[0].get("as_expr", {}).get("expr_str", "") if sizes else ""
            for symbol, span in said.get("range_constraints", {}).items():
                most = span.get("max_val")
                if f"'{symbol}'" in text and isinstance(most, int) and most > 0:
                    return most
            return 0
    return 0
