"""What crosses the border between the service and a replica, pickled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from secondlook.cloud.engine.asking import Ask, Priority, Ran
from secondlook.cloud.engine.batching import IMAGES, TENSORS, ImageInput, TensorInput
from secondlook.cloud.engine.batching.lanes import Kind
from secondlook.cloud.engine.tensors import Signature
from secondlook.shared.clock import Clock, Deadline
from secondlook.shared.detect.protocol import ModelInfo
from secondlook.shared.errors import InvalidInput, SecondlookError

_KINDS: dict[str, Kind[Any, Any]] = {kind.name: kind for kind in (TENSORS, IMAGES)}


@dataclass(frozen=True, slots=True)
class Question:
    """One request. Monotonic clocks of two machines have nothing to do with each other: what
    travels is the time that is left.

    Attributes:
        kind: name of the lane.
        payload: what the lane takes.
        useful_for_s: seconds until the answer is of no use.
        priority, tenant, camera, request_id: see `Ask`.
    """

    kind: str
    payload: TensorInput | ImageInput
    useful_for_s: float
    priority: Priority
    tenant: str
    camera: str
    request_id: str

    @classmethod
    def of(cls, kind: Kind[Any, Any], payload: Any, ask: Ask, useful_for_s: float) -> Question:
        """A request as it travels."""
        if isinstance(payload, ImageInput) and callable(payload.image):
            payload = ImageInput(payload.image(), payload.min_score)
        return cls(
            kind.name, payload, useful_for_s, ask.priority, ask.tenant, ask.camera, ask.request_id
        )

    def lane(self) -> Kind[Any, Any]:
        """The lane here.

        Raises:
            InvalidInput: there is none of that name.
        """
        kind = _KINDS.get(self.kind)
        if kind is None:
            raise InvalidInput(f"cannot be asked by {self.kind[:40]}")
        return kind

    def ask(self, clock: Clock) -> Ask:
        """The rest of it, on this side's clock."""
        return Ask(
            Deadline.after(self.useful_for_s, clock),
            priority=self.priority,
            tenant=self.tenant,
            camera=self.camera,
            request_id=self.request_id,
        )


@dataclass(frozen=True, slots=True)
class Answered:
    """What the lane gave, and what gave it."""

    result: Any
    ran: Ran


@dataclass(frozen=True, slots=True)
class Failed:
    """An error of ours, as a value: Ray would wrap what is raised, and put its traceback into the
    text that callers read."""

    error: SecondlookError


@dataclass(frozen=True, slots=True)
class Described:
    """What a replica has loaded.

    Attributes:
        signature: what it takes and gives.
        info: what is known about it as a detector; ``None``: it is none.
        device: where it runs.
        memory_bytes: what its weights take.
    """

    signature: Signature
    info: ModelInfo | None
    device: str
    memory_bytes: int
