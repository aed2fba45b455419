"""Model repositories on disk, made of the smallest files that are real.

::

    tree = ModelTree(tmp_path / "models")
    tree.version("tiny", 1)                 # tiny/1/model.onnx: x (batch, 4) to y (batch, 2)
    tree.version("tiny", 2, gain=2.0)       # another content
    tree.config("tiny", "max_batch_size: 8")
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from secondlook.cloud.repository.variants import Measured, write_record


@lru_cache(maxsize=64)
def tiny_onnx(
    gain: float = 1.0, batch: int | str = "batch", width: int = 4, dtype: int = TensorProto.FLOAT
) -> bytes:
    """A network: ``x`` (batch, width) to ``y`` (batch, 2), ``gain`` times the sum of x."""
    element = helper.tensor_dtype_to_np_dtype(dtype)
    weights = numpy_helper.from_array(np.full((width, 2), gain, element), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", dtype, [batch, width])],
        [helper.make_tensor_value_info("y", dtype, [batch, 2])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data: bytes = model.SerializeToString()
    return data


def external_onnx(file: Path, gain: float = 1.0) -> None:
    """The same network with its weights in ``FILE.data`` beside it."""
    model = onnx.load_from_string(tiny_onnx(gain))
    onnx.save(
        model,
        str(file),
        save_as_external_data=True,
        location=f"{file.name}.data",
        size_threshold=0,
    )


def exported_program(
    file: Path,
    inputs: Sequence[tuple[str, int, Sequence[int]]] = (("x", 7, (-1, 4)),),
    outputs: Sequence[tuple[str, int, Sequence[int]]] = (("linear", 7, (-1, 2)),),
    *,
    keys: Sequence[str] = (),
    max_rows: int | None = None,
    old: bool = False,
    program: Any = None,
) -> None:
    """An archive as ``torch.export.save`` of torch 2.13 writes it, less the weights.

    Args:
        file: where.
        inputs: name, torch's number of the type, lengths (-1: open).
        outputs: likewise.
        keys: keys of the dictionary that is returned; empty where it is no dictionary.
        max_rows: bound of the open length.
        old: with the name that torch before 2.8 gave the program.
        program: this in place of what the others describe.
    """
    # Both as torch writes them; a weight comes before what the caller gives.
    values: dict[str, Any] = {"p_w": _value(7, (4, 2))}
    values |= {name: _value(kind, sizes) for name, kind, sizes in (*inputs, *outputs)}
    tree = {"type": "builtins.tuple", "context": "null"}
    if keys:
        tree = {"type": "builtins.dict", "context": json.dumps(list(keys))}
    described = {
        "graph_module": {
            "graph": {"tensor_values": values},
            "signature": {
                "input_specs": [
                    {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}},
                    *({"user_input": {"arg": {"as_tensor": {"name": n}}}} for n, _, _ in inputs),
                ],
                "output_specs": [
                    {"user_output": {"arg": {"as_tensor": {"name": n}}}} for n, _, _ in outputs
                ],
            },
            "module_call_graph": [{"fqn": "", "signature": {"out_spec": json.dumps([1, tree])}}],
        },
        "range_constraints": {"s17": {"min_val": 1, "max_val": max_rows}},
        "torch_version": "2.13.0",
    }
    inside = "serialized_exported_program.json" if old else f"{file.stem}/models/model.json"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(inside, json.dumps(described if program is None else program))


def _value(kind: int, sizes: Sequence[int]) -> dict[str, Any]:
    symbol = "Symbol('s17', positive=True, integer=True)"
    open_length = {"as_expr": {"expr_str": symbol, "hint": {"as_int": 2}}}
    return {"dtype": kind, "sizes": [{"as_int": n} if n > 0 else open_length for n in sizes]}


class ModelTree:
    """One root of a repository.

    Args:
        root: its directory; made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)

    def version(self, name: str, number: int | str, data: bytes | None = None, **of: Any) -> Path:
        """Write a version: ``data``, else `tiny_onnx` of the arguments; returns the file."""
        return self.file(name, number, "model.onnx", tiny_onnx(**of) if data is None else data)

    def file(self, name: str, number: int | str, file: str, data: bytes) -> Path:
        """Write any file of a version; returns it."""
        path = self.root / name / str(number) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def config(self, name: str, text: str, file: str = "config.pbtxt") -> Path:
        """Write a configuration; returns the file."""
        path = self.root / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def measured(self, name: str, number: int, variant: str, file: str, f1: float = 0.99) -> None:
        """Put a variant on record, as ``secondlook models quantize`` does."""
        folder = self.root / name / str(number)
        digests = {
            part: hashlib.sha256((folder / part).read_bytes()).hexdigest()
            for part in (file, "model.onnx")
        }
        measured = Measured(
            file=file,
            sha256=digests[file],
            base="model.onnx",
            base_sha256=digests["model.onnx"],
            f1=f1,
            min_f1=0.95,
            score=0.3,
            images=1,
            boxes=1,
            speed=1.0,
            provider="CPU",
            left_out=0,
            tools={},
            made="2026-01-01T00:00:00Z",
        )
        write_record(folder, variant, measured)

    def sums(self, name: str, number: int, **wrong: str) -> None:
        """Write ``SHA256SUMS`` for what is there; ``wrong`` replaces digests by file stem."""
        folder = self.root / name / str(number)
        lines = [
            f"{wrong.get(f.stem) or hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n"
            for f in sorted(folder.iterdir())
            if f.name != "SHA256SUMS"
        ]
        (folder / "SHA256SUMS").write_text("".join(lines))

    def remove(self, name: str, number: int | None = None) -> None:
        """Remove a version, or a whole model."""
        shutil.rmtree(self.root / name / ("" if number is None else str(number)))
