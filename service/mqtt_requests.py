"""MQTT messages turned into requests: what may be asked, and what is refused by name."""

from __future__ import annotations

import hashlib
import logging
import re
import uuid
from typing import Any

import voluptuous as vol

from service.errors import BadRequest, ServiceError
from service.formats import FORMATS
from service.mqtt_jobs import Answer, StoredJob
from service.mqtt_link import Received
from service.requests import LONGEST_EXPIRY, VOICE_FIELDS, check, read_json
from service.rules import number

_LOGGER = logging.getLogger(__name__)
MAX_MESSAGE = 256 * 1024  # bytes, as the HTTP door takes
LONGEST_ID = 100
MOST_PLAYERS = 20
_PLAYER = vol.Match(r"^media_player\.[a-z0-9_]+$")
# Neither control characters nor halves of a surrogate pair, which no database takes.
_ID = re.compile(rf"[^\x00-\x1f\x7f\ud800-\udfff]{{1,{LONGEST_ID}}}")
_FIELDS = vol.Schema(
    {
        vol.Required("text"): str,
        vol.Optional("id"): vol.All(str, vol.Match(_ID.pattern + r"\Z")),
        vol.Optional("format", default="mp3"): vol.In(list(FORMATS)),
        vol.Optional("players"): vol.Any(
            vol.All(_PLAYER, lambda one: [one]),
            vol.All([_PLAYER], vol.Length(max=MOST_PLAYERS)),
        ),
        vol.Optional("volume"): vol.All(number, vol.Range(0, 1)),
        vol.Optional("audio", default=False): bool,
        **VOICE_FIELDS,
    }
)


class TooLarge(ServiceError):
    """The message is larger than the service reads."""

    code = "body_too_large"


class Cancelled(ServiceError):
    """Somebody took the request back."""

    code = "cancelled"


class GaveUp(ServiceError):
    """Speaking it ended the service, and did so again."""

    code = "gave_up"


class Interrupted(ServiceError):
    """The service ended while players were asked to play it."""

    code = "interrupted"


class NotStored(ServiceError):
    """The disk did not take the request."""

    code = "not_stored"


def failure(error: Exception) -> dict[str, Any]:
    """The fields that tell of an error; nothing of the server leaks."""
    if not isinstance(error, ServiceError):
        error = ServiceError("the service failed; its log says why")
    return {"code": error.code, "message": str(error), "param": error.param}


def read_request(message: Received, base: str) -> StoredJob:
    """The request in a message; one that cannot be taken comes back with its answer.

    Args:
        message: one that came on `base`/say or below.
        base: first part of all topics.
    """
    seen = hashlib.sha256(message.topic.encode() + b"\0" + message.payload).hexdigest()
    job = StoredJob(
        uuid.uuid4().hex,
        correlation=message.correlation,
        fingerprint=f"{message.packet} {seen}" if message.qos else None,
    )
    if message.correlation is not None:
        job.id, job.named = _printable(message.correlation), True
    try:
        job.reply = _checked_reply(message.reply, base)
        fields = _read_fields(message.payload)
        if isinstance(given := fields.get("id"), str) and _ID.fullmatch(given):
            job.id, job.named = given, True
        job.fields = _checked(fields, message.topic.removeprefix(f"{base}/say").lstrip("/"))
        if message.expiry is not None:
            job.fields["expires"] = min(message.expiry, job.fields.get("expires", LONGEST_EXPIRY))
    except Exception as error:
        if not isinstance(error, ServiceError):
            _LOGGER.exception("a message on %s could not be read", message.topic)
        job.answer = Answer("failed", {"id": job.id, **failure(error)})
    return job


def read_cancel(message: Received) -> str:
    """The id that a message on `cancel` names; empty for every request.

    Raises:
        BadRequest: it is neither an id nor `{"id": ...}`.
    """
    text = _text(message.payload[:MAX_MESSAGE]).strip()
    if not text.startswith("{"):
        return text
    fields = read_json(text)
    if isinstance(fields, dict) and list(fields) == ["id"] and isinstance(fields["id"], str):
        return fields["id"]
    raise BadRequest('cancel: must be an id, {"id": ...} or empty', param="id")


def _read_fields(payload: bytes) -> dict[str, Any]:
    if len(payload) > MAX_MESSAGE:
        message = f"{len(payload)} bytes are more than {MAX_MESSAGE}"
        raise TooLarge(message, param="body", limit=MAX_MESSAGE)
    text = _text(payload)
    if not text.lstrip().startswith("{"):
        return {"text": text}
    fields = read_json(text)
    assert isinstance(fields, dict)  # JSON that begins with a brace is an object
    return fields


def _text(payload: bytes) -> str:
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRequest(f"body: is not UTF-8: {error.reason}", param="body") from error


def _checked(fields: dict[str, Any], voice: str) -> dict[str, Any]:
    checked = check(_FIELDS, fields)
    if voice and checked.setdefault("voice", voice) != voice:
        message = f"voice: the topic names {voice[:80]!r}, the message another one"
        raise BadRequest(message, param="voice")
    return checked


def _checked_reply(reply: str | None, base: str) -> str | None:
    if reply is None:
        return None
    if not reply or set("+#\0") & set(reply):
        raise BadRequest("response topic: is not a topic", param="response_topic")
    if reply.startswith(f"{base}/"):
        # An answer on `say` would be spoken, its answer as well, and so on.
        message = f"response topic: must not be one of the bridge's own under {base}/"
        raise BadRequest(message, param="response_topic")
    return reply


def _printable(correlation: bytes) -> str:
    """Correlation data as an id: as text where it is one, in hexadecimal where not."""
    try:
        text = correlation.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and 0 < len(text) <= LONGEST_ID:
        return text
    whole = correlation.hex()
    return whole if len(whole) <= LONGEST_ID else hashlib.sha256(correlation).hexdigest()
