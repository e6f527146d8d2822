"""Builds the parts, wires them, and starts and stops them with the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from aiohttp import web

from engines.errors import EngineError
from service.config import Settings
from service.errors import ServiceError
from service.health import Health, read_server_id
from service.http_api import HttpApi
from service.jobs import JobQueue
from service.ladder import Ladder, Rung
from service.plain_rung import PlainRung
from service.speech import Speech, SpeechRequest
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
HEALTH = web.AppKey("health", Health)
SELF_TEST = "Ready."
SELF_TEST_SECONDS = (0.2, 5.0)
SELF_TEST_LEVEL = 0.01  # RMS below which the self-test counts as silence


def plain_only() -> Sequence[Rung]:
    """The ladder of a house that has no model yet."""
    return (PlainRung(),)


def create_app(
    settings: Settings, make_rungs: Callable[[], Sequence[Rung]] = plain_only
) -> web.Application:
    """The whole service as one application.

    Args:
        settings: what the user set.
        make_rungs: makes the ladder's rungs, the best first; may take its time.

    Raises:
        OSError: the data folder cannot be written.
        EngineError: no rung can be made.
    """
    ladder = Ladder(make_rungs())
    queue = JobQueue(ladder.speak, settings.max_queue)
    voices = VoiceStore(ladder.languages, PlainRung.version)
    speech = Speech(
        queue,
        voices,
        language=settings.language,
        max_text=settings.max_text,
        sentence_pause=settings.sentence_pause,
    )
    health = Health(read_server_id(settings.data), queue, ladder)
    api = HttpApi(speech, voices, health, sample_rate=settings.sample_rate, token=settings.token)
    app = api.application()
    app[HEALTH] = health

    async def run(app: web.Application) -> AsyncIterator[None]:
        queue.start()
        test = asyncio.create_task(_self_test(speech, health))
        yield
        test.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await test
        await asyncio.to_thread(queue.close)

    app.cleanup_ctx.append(run)
    return app


async def _self_test(speech: Speech, health: Health) -> None:
    """Speak a word and look at its sound; only then is the service ready."""
    heard: list[np.ndarray] = []
    rate = 1
    try:
        async with speech.say(SpeechRequest(SELF_TEST, language="en", door="self-test")) as spoken:
            async for chunk in spoken.chunks():
                heard.append(chunk.samples)
                rate = chunk.sample_rate
    except (ServiceError, EngineError) as error:
        health.failure = f"the self-test failed: {error}"
        _LOGGER.error(health.failure)
        return
    samples = np.concatenate(heard)
    shortest, longest = SELF_TEST_SECONDS
    level = float(np.sqrt(np.mean(np.square(samples))))
    if not shortest <= len(samples) / rate <= longest or level < SELF_TEST_LEVEL:
        seconds = len(samples) / rate
        health.failure = f"the self-test sounds wrong: {seconds:.2f} s at level {level:.4f}"
        _LOGGER.error(health.failure)
        return
    health.ready = True
    _LOGGER.info("ready: %s speaks", health.ladder.rung)
