"""The way to the cloud, in its plainest form: one call, no retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import grpc

from secondlook.rpc.v1.escalation_pb2_grpc import EscalationStub
from secondlook.shared.values import Escalation, Verdict
from secondlook.shared.wire.escalation import request_to_proto, verdict_from_proto
from secondlook.shared.wire.status import error_from_status

if TYPE_CHECKING:
    from secondlook.rpc.v1.escalation_pb2_grpc import EscalationAsyncStub

TIMEOUT_S = 120.0
"""A baseline waits for its answer however slow the machine is."""


class Asker(Protocol):
    """A way to the cloud."""

    async def ask(self, escalation: Escalation) -> Verdict:
        """The verdict on an escalation; raises `SecondlookError` where there will be none."""
        ...


class PlainAsker:
    """Asks through a gRPC channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        stub = EscalationStub(channel)
        self._stub: EscalationAsyncStub = stub  # type: ignore[assignment]

    async def ask(self, escalation: Escalation) -> Verdict:
        """See `Asker.ask`."""
        try:
            message = await self._stub.Escalate(request_to_proto(escalation), timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise error_from_status(error.code(), error.details() or "") from error
        return verdict_from_proto(message, escalation)
