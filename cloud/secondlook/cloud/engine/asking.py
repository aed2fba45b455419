"""What an engine is asked, and what it answers, beside the data."""

from __future__ import annotations

from dataclasses import field
from enum import IntEnum

from secondlook.cloud.engine.tensors import Array
from secondlook.shared.clock import Deadline
from secondlook.shared.light import light
from secondlook.shared.values import Detections


class Priority(IntEnum):
    """What goes first; the lower number."""

    ESCALATION = 0
    """Somebody waits for the answer."""

    AUDIT = 1
    """It measures, and can come late."""

    LEARNING = 2
    """Whenever there is time."""


@light
class Ask:
    """Who asks which model, and until when.

    Attributes:
        deadline: when the answer stops being useful.
        model: name; empty for the default.
        version: empty for what is served under the name (by share, where two are).
        priority: what goes first.
        tenant: who asks, for fair shares; empty where nobody says.
        camera: for which camera, for fair shares within the tenant; empty where nobody says. One
            camera stays on one version where two share a name.
        request_id: the caller's own; it stands for the camera where none is named.
    """

    deadline: Deadline
    model: str = ""
    version: str = ""
    priority: Priority = Priority.ESCALATION
    tenant: str = ""
    camera: str = ""
    request_id: str = ""


@light
class Ran:
    """What answered, and how long it took.

    Attributes:
        model: its name.
        version: its version.
        variant: the same release in another precision: ``fp32``, ``fp16``, ``int8``.
        queue_s: seconds from acceptance to the device.
        infer_s: seconds on the device, of the whole batch.
        batch: rows in that batch.
        reason: why this variant and version, where there was a choice; else empty.
    """

    model: str
    version: str
    variant: str = ""
    queue_s: float = 0.0
    infer_s: float = 0.0
    batch: int = 1
    reason: str = ""


@light
class Detected:
    """Boxes of one image, in its own pixels, best score first."""

    detections: Detections
    ran: Ran


@light
class Inferred:
    """Output tensors by name; the batch axis is first where the model has one."""

    outputs: dict[str, Array] = field(repr=False)
    ran: Ran
