"""Programs of torch on one device: tensors in, tensors out. The one place that imports torch.

Two kinds of files: ``.pt2`` of ``torch.export.save``, which tells its inputs and outputs, and
TorchScript, which tells the names of its inputs alone.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from secondlook.cloud.engine.tensors import Array
from secondlook.shared.errors import InvalidConfig, InvalidModel, MissingDependency, ModelFailure

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingDependency("torch", "torch") from error

_NUMBERED = re.compile(r"__(\d{1,3})$")
"""Names as Triton's PyTorch backend wants them: ``INPUT__0``, ``OUTPUT__1``."""

_EXTRA = "config.txt"
"""Where ultralytics keeps what it says of an exported network."""


_LOADERS = ("torch.export", "torch.export.pt2_archive._package")
"""Loggers of the loader, which prints the traceback of what it raises."""


class TorchProgram:
    """A loaded program. Calls block; any one thread at a time.

    Args:
        module: what is called.
        device: where it is.
        threads: threads of one operator on the CPU; 0 leaves them to torch.
        unflatten: from tensors in order to positional and named arguments.
        metadata: what the file says of itself.
    """

    def __init__(
        self,
        module: Any,
        device: Any,
        threads: int,
        *,
        unflatten: Any = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._module = module
        self.device = device
        self.metadata = dict(metadata or {})
        self._threads = threads
        self._set_in: int | None = None
        self._unflatten = unflatten

    @property
    def argument_names(self) -> tuple[str, ...]:
        """Names of the arguments of a TorchScript module; empty for an exported program."""
        if self._unflatten is not None:
            return ()
        return tuple(argument.name for argument in self._module.forward.schema.arguments[1:])

    @property
    def memory_bytes(self) -> int:
        """Of parameters and buffers."""
        tensors = (*self._module.parameters(), *self._module.buffers())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def __call__(self, arrays: Sequence[Array], bits: Sequence[bool]) -> list[Any]:
        """Run it.

        Args:
            arrays: its inputs, in order; read in place where they are contiguous and writable.
            bits: which of them are the bits of bfloat16.

        Returns:
            Its outputs, flat, as tensors; a mapping's by their names, as pairs.

        Raises:
            ModelFailure: it failed.
        """
        self._take_threads()
        try:
            with torch.inference_mode():
                tensors = [
                    _tensor(array, of_bits).to(self.device)
                    for array, of_bits in zip(arrays, bits, strict=True)
                ]
                if self._unflatten is None:
                    return _flat(self._module(*tensors))
                positional, named = self._unflatten(tensors)
                return _flat(self._module(*positional, **named))
        except Exception as error:  # a user's network raises whatever it likes
            raise ModelFailure(f"could not run: {reason_of(error)}") from error

    def _take_threads(self) -> None:
        """Tell torch how many threads: it keeps the number for each calling thread."""
        here = threading.get_ident()
        if self._threads and here != self._set_in:
            torch.set_num_threads(self._threads)
            self._set_in = here


def find_device(kind: str, index: int) -> Any:
    """A device of torch.

    Args:
        kind: ``auto``, ``cpu`` or ``gpu``.
        index: which of the devices.

    Raises:
        InvalidConfig: there is none of that kind.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not count):
        return torch.device("cpu")
    if index >= count:
        raise InvalidConfig(
            f"gpu:{index} was asked for, but torch {torch.__version__} sees {count}",
            remedy='use "cpu" or "auto", or install a torch that was built for this machine',
        )
    return torch.device("cuda", index)


def load_program(file: Path, device: Any, threads: int) -> TorchProgram:
    """Load a ``.pt2`` or a TorchScript file.

    Raises:
        InvalidModel: it cannot be loaded.
    """
    try:
        with _quiet():
            if file.suffix == ".pt2":
                program = torch.export.load(str(file))
                if device.type != "cpu":
                    from torch.export.passes import move_to_device_pass

                    program = move_to_device_pass(program, device)
                spec = program.call_spec.in_spec
                return TorchProgram(program.module(), device, threads, unflatten=spec.unflatten)
            extra = {_EXTRA: ""}
            module = torch.jit.load(str(file), map_location=device, _extra_files=extra)
            return TorchProgram(module.eval(), device, threads, metadata=_metadata(extra[_EXTRA]))
    except MemoryError:
        raise
    except Exception as error:  # torch raises whatever a hostile file provokes
        raise InvalidModel(
            f"model {file} cannot be loaded: {reason_of(error)}",
            remedy="write it with torch.export.save or torch.jit.save of a torch no newer than "
            f"{torch.__version__}",
        ) from error


def by_number(names: Sequence[str]) -> list[str]:
    """The names in the order of the numbers they end in; as they are where not all have one."""
    numbers = [_NUMBERED.search(name) for name in names]
    if any(number is None for number in numbers):
        return list(names)
    return sorted(names, key=lambda name: int(name.rpartition("__")[2]))


def to_array(tensor: Any, *, own: bool) -> Array:
    """A tensor as an array; the bits of bfloat16.

    Args:
        tensor: the tensor.
        own: in memory that nobody else writes to.
    """
    here = tensor.detach().to("cpu").contiguous()
    if here.dtype == torch.bfloat16:
        here = here.view(torch.int16)
    array: Array = here.numpy()
    if own and here.data_ptr() == tensor.data_ptr():
        array = array.copy()
    return array.view(np.uint16) if tensor.dtype == torch.bfloat16 else array


def reason_of(error: Exception) -> str:
    """What torch says, without the traceback that TorchScript and the loader put into it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = lines[-1] if lines[0].startswith("The following operation failed") else lines[0]
    return line[:300]


def _tensor(array: Array, bits: bool) -> Any:
    # torch warns of memory that is not writable, though nothing writes to it here.
    whole = np.require(array, requirements=["C", "W"])
    if bits:
        return torch.from_numpy(whole.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(whole)


def _flat(result: Any) -> list[Any]:
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, Mapping):
        if all(isinstance(value, torch.Tensor) for value in result.values()):
            return list(result.items())
        return [leaf for value in result.values() for leaf in _flat(value)]
    if isinstance(result, list | tuple):
        return [leaf for value in result for leaf in _flat(value)]
    raise TypeError(f"a {type(result).__name__} is among the outputs, not a tensor")


def _metadata(text: Any) -> dict[str, str]:
    try:
        said = json.loads(text) if text else {}
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in said.items()} if isinstance(said, dict) else {}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the loader silent: what it has to say comes as an exception as well."""
    loggers = [logging.getLogger(name) for name in _LOADERS]
    before = [logger.disabled for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        with warnings.catch_warnings():
            # That TorchScript is deprecated is the guide's to tell, at every load to nobody.
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, was in zip(loggers, before, strict=True):
            logger.disabled = was
