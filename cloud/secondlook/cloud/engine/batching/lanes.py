"""The two ways of asking a loaded network: raw tensors, and images."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from secondlook.cloud.engine.backend import Backend
from secondlook.cloud.engine.tensors import Array, Signature, Tensors
from secondlook.shared.detect.protocol import Detector, Image
from secondlook.shared.errors import InvalidInput, ModelFailure
from secondlook.shared.values import Detections

P = TypeVar("P")
R = TypeVar("R")
P_contra = TypeVar("P_contra", contravariant=True)


@dataclass(frozen=True, eq=False)
class Kind(Generic[P, R]):
    """Names a lane, and says what it takes (``P``) and gives (``R``)."""

    name: str


@dataclass(slots=True, eq=False)
class TensorInput:
    """A question in raw tensors.

    Attributes:
        tensors: every input by name; the batch axis first where the model has one.
        outputs: names of those wanted; all where empty.
    """

    tensors: Tensors
    outputs: Sequence[str] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ImageInput:
    """A question about one image.

    Attributes:
        image: uint8 (h, w, 3) BGR; or what gives it, called in the instance's thread if the
            question is still wanted then.
        min_score: boxes below are not wanted.
    """

    image: Image | Callable[[], Image]
    min_score: float


TENSORS: Kind[TensorInput, dict[str, Array]] = Kind("tensors")
IMAGES: Kind[ImageInput, Detections] = Kind("images")


class Lane(Protocol[P_contra, R]):
    """Batches payloads of one kind for one backend."""

    def key(self, payload: P_contra) -> Hashable:
        """Only payloads of equal key share a batch."""
        ...

    def rows(self, payload: P_contra) -> int:
        """How many rows of a batch it takes."""
        ...

    def run(self, payloads: Sequence[P_contra]) -> list[R | Exception]:
        """Answer each; in the batcher's thread of one instance.

        An answer that is an exception is that payload's alone. Whatever the call raises is the
        batch's: the batcher then asks for halves, down to one, so that a poisoned payload fails
        alone.
        """
        ...


class _Alone:
    """A key that equals no other."""


class TensorLane:
    """Raw tensors in, raw tensors out.

    Attributes:
        input_s: seconds that the last batch took to be put together.
        output_s: seconds that it took to be taken apart.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        signature = self._signature = backend.signature
        self._outputs = {spec.name for spec in signature.outputs}
        self._free = tuple(spec.name for spec in signature.inputs if -1 in spec.shape)
        self.input_s = 0.0
        self.output_s = 0.0

    @property
    def signature(self) -> Signature:
        """What it takes and gives."""
        return self._signature

    def key(self, payload: TensorInput) -> Hashable:
        """See `Lane.key`: lengths that are free must be equal."""
        if not self._signature.max_batch:
            return _Alone()
        return tuple(payload.tensors[name].shape[1:] for name in self._free)

    def rows(self, payload: TensorInput) -> int:
        """See `Lane.rows`.

        Raises:
            InvalidInput: tensors that the model does not take; an output that it has not.
        """
        for name in payload.outputs:
            if name not in self._outputs:
                raise InvalidInput(
                    f"unexpected output {name!r}; outputs are {sorted(self._outputs)}"
                )
        return self._signature.rows(payload.tensors)

    def run(self, payloads: Sequence[TensorInput]) -> list[dict[str, Array] | Exception]:
        """See `Lane.run`. Arrays of one batch are views of one array."""
        if len(payloads) == 1:
            self.input_s = self.output_s = 0.0
            return [self._backend.run(payloads[0].tensors, payloads[0].outputs)]
        begun_s = time.perf_counter()
        inputs = {
            spec.name: np.concatenate([payload.tensors[spec.name] for payload in payloads])
            for spec in self._signature.inputs
        }
        wanted: list[str] = []
        if all(payload.outputs for payload in payloads):
            wanted = sorted({name for payload in payloads for name in payload.outputs})
        ready_s = time.perf_counter()
        outputs = self._backend.run(inputs, wanted)
        ran_s = time.perf_counter()
        answers = self._split(payloads, outputs)
        self.input_s, self.output_s = ready_s - begun_s, time.perf_counter() - ran_s
        return answers

    def _split(
        self, payloads: Sequence[TensorInput], outputs: Mapping[str, Array]
    ) -> list[dict[str, Array] | Exception]:
        first = self._signature.inputs[0].name
        bounds = [0]
        for payload in payloads:
            bounds.append(bounds[-1] + payload.tensors[first].shape[0])
        for name, array in outputs.items():
            if not array.shape or array.shape[0] != bounds[-1]:
                raise ModelFailure(
                    f"output {name!r} has shape {list(array.shape)} for {bounds[-1]} rows"
                )
        return [
            {name: outputs[name][bounds[place] : bounds[place + 1]] for name in names}
            for place, payload in enumerate(payloads)
            for names in (payload.outputs or outputs,)
        ]


class ImageLane:
    """Images in, boxes out.

    Attributes:
        input_s: seconds that the images of the last batch took to be had.
        output_s: seconds that the choice of boxes took.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.input_s = 0.0
        self.output_s = 0.0

    def key(self, payload: ImageInput) -> Hashable:
        """See `Lane.key`: the detector brings every image to its own size."""
        return None

    def rows(self, payload: ImageInput) -> int:
        """See `Lane.rows`."""
        return 1

    def run(self, payloads: Sequence[ImageInput]) -> list[Detections | Exception]:
        """See `Lane.run`."""
        begun_s = time.perf_counter()
        answers: list[Detections | Exception | None] = [None] * len(payloads)
        images: list[Image] = []
        asked: list[int] = []
        for place, payload in enumerate(payloads):
            if not callable(payload.image):
                images.append(payload.image)
            else:
                try:
                    images.append(payload.image())
                except Exception as error:  # noqa: BLE001 - it is that caller's, and nobody else's
                    answers[place] = error
                    continue
            asked.append(place)
        ready_s = time.perf_counter()
        ran_s = ready_s
        if asked:
            lowest = min(payloads[place].min_score for place in asked)
            found = self._detector.detect(images, lowest)
            ran_s = time.perf_counter()
            if len(found) != len(images):
                raise ModelFailure(f"the model answered {len(found)} of {len(images)} images")
            for place, boxes in zip(asked, found, strict=True):
                least = payloads[place].min_score
                answers[place] = boxes if least <= lowest else boxes.select(boxes.scores >= least)
        self.input_s, self.output_s = ready_s - begun_s, time.perf_counter() - ran_s
        return [answer for answer in answers if answer is not None]


@dataclass(frozen=True, slots=True)
class Instance:
    """One copy of a network; it gets a thread of its own.

    Attributes:
        lanes: the ways of asking it.
        close: releases it; called once its thread has ended.
        here: it computes in this process, and may be called on the event loop once its calls have
            turned out to be shorter than the waking of a thread.
    """

    lanes: Mapping[Kind[Any, Any], Lane[Any, Any]]
    close: Callable[[], None] = field(default=lambda: None)
    here: bool = False

    @classmethod
    def of(cls, backend: Backend) -> Instance:
        """A loaded backend: its tensors, and images where it is a detector."""
        lanes: dict[Kind[Any, Any], Lane[Any, Any]] = {TENSORS: TensorLane(backend)}
        if backend.detector is not None:
            lanes[IMAGES] = ImageLane(backend.detector)
        return cls(lanes, backend.close, here=backend.device == "CPU")
