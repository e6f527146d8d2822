"""An answer that flows into an HTTP response while it is spoken."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiohttp import web

from service.formats import Encoder
from service.requests import encoded
from service.speaking import Speaking
from service.speech import Speech
from service.speech_request import SpeechRequest

_LOGGER = logging.getLogger(__name__)


async def stream_answer(
    request: web.Request,
    speech: Speech,
    wanted: SpeechRequest,
    encoder: Encoder,
    headers: Mapping[str, str] | None = None,
    head: bytes = b"",
) -> web.StreamResponse:
    """Speak into a response; its first byte leaves before the last is made.

    Args:
        headers: go before those that tell of the answer.
        head: bytes before the encoder's own.

    Raises:
        ServiceError: it could not be spoken, and nothing is sent yet.
    """
    response: web.StreamResponse | None = None
    try:
        async with speech.say(wanted) as speaking:
            with encoder:
                response = web.StreamResponse(
                    headers={**answer_headers(speaking, encoder), **(headers or {})}
                )
                await response.prepare(request)
                if head:
                    await response.write(head)
                async for data in encoded(speaking, encoder):
                    await response.write(data)
                await response.write_eof()
    except Exception as error:
        if response is None:
            raise
        # The status is sent: a broken connection is the only honest way left to say that this
        # is not all.
        _LOGGER.warning("an answer broke off: %s", error)
        if request.transport is not None:
            request.transport.abort()
    return response


def answer_headers(speaking: Speaking, encoder: Encoder) -> dict[str, str]:
    """What is told of an answer beside its sound."""
    model = {"X-Speech-Model": speaking.model} if speaking.model is not None else {}
    return {
        **model,
        "Content-Type": encoder.content_type,
        "X-Request-Id": speaking.id,
        "X-Speech-Rung": speaking.rung,
        "X-Speech-Voice": speaking.voice.id,
        "X-Audio-Sample-Rate": str(encoder.sample_rate),
    }
