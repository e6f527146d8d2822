"""The id of an HTTP request: the client's own where it names a sane one, told in every answer."""

from __future__ import annotations

from aiohttp import web

from service.errors import Handler
from service.logs import current, new_trace, traced

HEADER = "X-Request-Id"


@web.middleware
async def trace_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let everything that is done for a request carry its id."""
    trace = new_trace(request.headers.get(HEADER))
    with traced(trace):
        response = await handler(request)
    if not response.prepared:
        response.headers[HEADER] = trace.id
    return response


async def tell_id(request: web.Request, response: web.StreamResponse) -> None:
    """Put the id into an answer that flows while its handler runs; a signal."""
    if (trace := current()) is not None:
        response.headers[HEADER] = trace.id
