"""Errors that clients see: each has a stable `code`, an HTTP status, maybe a limit."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from engines.errors import EngineError, TextError

_LOGGER = logging.getLogger(__name__)


class ServiceError(Exception):
    """Base of all errors that reach a client.

    Args:
        message: what is wrong and what would be right, for a person.
        param: the field that is wrong.
        limit: the limit that it broke.
    """

    code = "service_error"
    status = 500

    def __init__(self, message: str, *, param: str | None = None, limit: object = None) -> None:
        super().__init__(message)
        self.param = param
        self.limit = limit

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that go with the error."""
        return {}

    def as_dict(self) -> dict[str, Any]:
        """The body that every door sends: OpenAI's error object, with the limit beside it."""
        return {
            "error": {
                "code": self.code,
                "message": str(self),
                "param": self.param,
                "limit": self.limit,
                "type": "invalid_request_error" if self.status < 500 else "server_error",
            }
        }


class BadRequest(ServiceError):
    """A field is missing, unknown, of the wrong type or out of range."""

    code = "bad_request"
    status = 400


class TextRefused(BadRequest):
    """The text is empty or holds nothing that can be said."""

    code = "bad_text"


class LanguageUnavailable(BadRequest):
    """Nothing here speaks the language."""

    code = "language_unavailable"


class Unauthorized(ServiceError):
    """The bearer token is missing or wrong."""

    code = "unauthorized"
    status = 401

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme, as HTTP asks."""
        return {"WWW-Authenticate": "Bearer"}


class VoiceNotFound(ServiceError):
    """No voice has that id."""

    code = "voice_not_found"
    status = 404


class TextTooLong(ServiceError):
    """The text is longer than the service reads."""

    code = "text_too_long"
    status = 413


class TextTimeout(ServiceError):
    """A client opened a text stream and then stopped sending."""

    code = "text_timeout"
    status = 408


class Busy(ServiceError):
    """Base of the errors after which a client should come back."""

    status = 503

    def __init__(self, message: str, *, retry_after: int, limit: object = None) -> None:
        super().__init__(message, limit=limit)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """Say when it is worth coming back."""
        return {"Retry-After": str(self.retry_after)}


class QueueFull(Busy):
    """As many requests wait as may wait."""

    code = "queue_full"


class TooManyRequests(Busy):
    """The first audio would come later than it may."""

    code = "too_many_requests"
    status = 429


class Expired(ServiceError):
    """The request waited longer than it was worth saying."""

    code = "expired"
    status = 504


class NotReady(Busy):
    """The service starts or stops."""

    code = "not_ready"


class SynthesisFailed(ServiceError):
    """Speaking failed on every rung."""

    code = "synthesis_failed"


def from_engine(error: EngineError) -> ServiceError:
    """Translate an engine's error into one that a client can act on."""
    if isinstance(error, TextError):
        message = str(error)
        if message.startswith("language:"):
            return LanguageUnavailable(message, param="language")
        return TextRefused(message, param="input")
    failed = SynthesisFailed(str(error))
    failed.code = error.code
    return failed


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure with the same JSON object; nothing of the server leaks."""
    try:
        return await handler(request)
    except ServiceError as error:
        return web.json_response(error.as_dict(), status=error.status, headers=error.headers)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        refused = ServiceError(error.reason)
        refused.code, refused.status = _HTTP_CODES.get(error.status, "http_error"), error.status
        kept = {key: error.headers[key] for key in ("Allow",) if key in error.headers}
        return web.json_response(refused.as_dict(), status=error.status, headers=kept)
    except Exception:
        _LOGGER.exception("request failed")
        failed = ServiceError("the service failed; its log says why")
        return web.json_response(failed.as_dict(), status=failed.status)


_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}
