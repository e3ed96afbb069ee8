"""Replaces what a gRPC handler runs, for interceptors of servers."""

from collections.abc import Callable
from typing import Any, TypeAlias

import grpc

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Wrap: TypeAlias = Callable[[Any], Any]


def wrapped(handler: Handler, unary: Wrap, streaming: Wrap, *, raw: bool = False) -> Handler:
    """Returns a handler of the same kind; `unary` or `streaming` gets the function that it ran, and returns another.

    With `raw`, the new function gets a single request as bytes. A stream of requests comes parsed.
    """
    parse, serialize = handler.request_deserializer, handler.response_serializer
    if handler.stream_stream:
        return grpc.stream_stream_rpc_method_handler(streaming(handler.stream_stream), parse, serialize)
    if raw:
        parse = None
    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(unary(handler.unary_unary), parse, serialize)
    return grpc.unary_stream_rpc_method_handler(streaming(handler.unary_stream), parse, serialize)
