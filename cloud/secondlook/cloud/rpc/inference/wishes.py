"""The parameters of a request: how urgent it is, until when, for whom.

==================================  =========================================================
parameter                           meaning
==================================  =========================================================
``priority``                        1: escalation, 2: audit, 3 and more: learning; 0: not said
``timeout``                         microseconds until the answer is of no use
``tenant``, ``camera``              for fair shares; the name in a certificate wins as tenant
``triton_enable_empty_final_...``   streams: mark the last reply to each request
``sequence_id``                     refused: no model keeps state between requests
anything else                       passed over
==================================  =========================================================

Source: the schedule policy extension of the Open Inference Protocol, for the first two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secondlook.cloud.engine.asking import Priority
from secondlook.oip import inference_pb2 as pb
from secondlook.shared.errors import InvalidInput

FINAL_WISH = "triton_enable_empty_final_response"
MAX_NAME = 128
"""Longest tenant or camera."""

_PRIORITIES = (Priority.ESCALATION, Priority.ESCALATION, Priority.AUDIT)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request wants beside its answer.

    Attributes:
        priority: what goes first.
        useful_for_s: seconds until the answer is of no use; ``None``: as long as the call lasts.
        tenant: who asks; empty where nobody says.
        camera: for which camera; empty where nobody says.
        marks_final: whether the last reply is to be marked as such.
    """

    priority: Priority = Priority.ESCALATION
    useful_for_s: float | None = None
    tenant: str = ""
    camera: str = ""
    marks_final: bool = False


NONE = Wishes()


def wishes(parameters: Mapping[str, pb.InferParameter]) -> Wishes:
    """Read the parameters of a request.

    Raises:
        InvalidInput: one has the wrong type or an impossible value, or wants a sequence.
    """
    if not parameters:
        return NONE
    if "sequence_id" in parameters:
        raise InvalidInput("sequence_id is not offered: no model keeps state between requests")
    timeout_us = _whole(parameters, "timeout")
    return Wishes(
        _priority(parameters),
        timeout_us / 1e6 if timeout_us else None,
        _text(parameters, "tenant"),
        _text(parameters, "camera"),
        FINAL_WISH in parameters and parameters[FINAL_WISH].bool_param,
    )


def _priority(parameters: Mapping[str, pb.InferParameter]) -> Priority:
    level = _whole(parameters, "priority")
    return _PRIORITIES[level] if level < len(_PRIORITIES) else Priority.LEARNING


def _whole(parameters: Mapping[str, pb.InferParameter], name: str) -> int:
    """A whole number from 0; 0 where it is absent."""
    # A map of messages makes what is asked for by `[]`: look first.
    if name not in parameters:
        return 0
    value = parameters[name]
    kind = value.WhichOneof("parameter_choice")
    if kind not in ("int64_param", "uint64_param"):
        raise InvalidInput(f"parameter {name} is no whole number")
    number = value.int64_param if kind == "int64_param" else value.uint64_param
    if number < 0:
        raise InvalidInput(f"parameter {name} is {number}; at least 0 expected")
    return number


def _text(parameters: Mapping[str, pb.InferParameter], name: str) -> str:
    if name not in parameters:
        return ""
    value = parameters[name]
    if value.WhichOneof("parameter_choice") != "string_param":
        raise InvalidInput(f"parameter {name} is no text")
    text = value.string_param
    if len(text) > MAX_NAME:
        raise InvalidInput(f"parameter {name} has {len(text)} characters; at most {MAX_NAME}")
    return text
