"""Bytes that are no message are the caller's mistake, and are told so.

gRPC answers a request that cannot be parsed with UNKNOWN, the name of a Python class, and a
traceback in the log. Here the parsing moves from gRPC into the handler, where its failure becomes
INVALID_ARGUMENT.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from secondlook.cloud.rpc.boundary import Context
from secondlook.shared.errors import InvalidInput

NO_MESSAGE = "the request is not a message of this method"

Parse = Callable[[bytes], Any]


M = TypeVar("M", bound=Callable[..., Any])
_BYTES = "_takes_bytes"


def takes_bytes(method: M) -> M:
    """Mark a unary method that parses its request and serializes its reply itself."""
    setattr(method, _BYTES, True)
    return method


class StrictServer:
    """Takes what the generated ``add_*_to_server`` functions register, and registers it strictly.

    Args:
        server: where the strict handlers go.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Ignored: the same methods come through `add_registered_method_handlers`."""

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        """Register a service."""
        strict = {name: _strict(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, strict),)
        )


def _strict(handler: Any) -> Any:
    parse: Parse = handler.request_deserializer
    serialize = handler.response_serializer
    if handler.request_streaming:
        wrapped = _parsed_stream(handler.stream_stream, parse)
        return grpc.stream_stream_rpc_method_handler(wrapped, None, serialize)
    if handler.response_streaming:
        wrapped = _parsed(handler.unary_stream, parse)
        return grpc.unary_stream_rpc_method_handler(wrapped, None, serialize)
    if getattr(handler.unary_unary, _BYTES, False):
        return grpc.unary_unary_rpc_method_handler(handler.unary_unary, None, None)
    wrapped = _parsed(handler.unary_unary, parse)
    return grpc.unary_unary_rpc_method_handler(wrapped, None, serialize)


def _parsed(method: Callable[[Any, Context], Awaitable[Any]], parse: Parse) -> Any:
    async def parsed(raw: bytes, context: Context) -> Any:
        try:
            request = parse(raw)
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, NO_MESSAGE)
        return await method(request, context)

    return parsed


def _parsed_stream(method: Callable[[Any, Context], Awaitable[Any]], parse: Parse) -> Any:
    async def parsed(raw_requests: AsyncIterator[bytes], context: Context) -> Any:
        async def requests() -> AsyncIterator[Any]:
            async for raw in raw_requests:
                try:
                    request = parse(raw)
                except DecodeError:
                    raise InvalidInput(NO_MESSAGE) from None
                yield request

        return await method(requests(), context)

    return parsed
