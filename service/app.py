"""Builds the parts, wires them, and starts and stops them with the application."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from aiohttp import web

from service.access import TOKEN_FILE, required_token
from service.cache import ClipCache
from service.clips import ClipShelf
from service.config import Settings
from service.errors import ServiceError
from service.health import Health, read_server_id
from service.http_api import HttpApi
from service.jobs import JobQueue
from service.ladder import Ladder, Rung
from service.metrics import Metrics
from service.mqtt_setup import make_bridge
from service.plain_rung import PlainRung
from service.speech import Speech, SpeechRequest
from service.voices import VoiceStore
from service.wyoming_server import WyomingServer

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
    queue = JobQueue(ladder.speak, settings.max_queue, settings.max_wait)
    voices = VoiceStore(ladder.languages, PlainRung.version, ladder.rung)
    cache = ClipCache(settings.data / "cache", settings.cache_mb * 1_000_000)
    metrics = Metrics(lambda: queue.depth, lambda: cache.bytes)
    speech = Speech(
        queue,
        voices,
        cache,
        metrics,
        language=settings.language,
        max_text=settings.max_text,
        sentence_pause=settings.sentence_pause,
    )
    clips = ClipShelf(settings.data / "clips")
    token = required_token(
        settings.host,
        settings.token,
        allow_anonymous=settings.allow_anonymous,
        data=settings.data,
    )
    if token and not settings.token:
        _LOGGER.info("clients need the token in %s", settings.data / TOKEN_FILE)
    health = Health(read_server_id(settings.data), queue, ladder)
    api = HttpApi(
        speech, voices, clips, health, metrics, sample_rate=settings.sample_rate, token=token
    )
    app = api.application()
    app[HEALTH] = health

    wyoming = None
    if settings.wyoming_port:
        wyoming = WyomingServer(
            settings.host, settings.wyoming_port, speech, voices, settings.sample_rate
        )

    bridge = None
    if settings.mqtt_host:
        bridge = make_bridge(settings, speech, voices, clips, health)

    async def run(app: web.Application) -> AsyncIterator[None]:
        queue.start()
        if wyoming is not None:
            await wyoming.start()
        if bridge is not None:
            await bridge.start()
        test = asyncio.create_task(_self_test(speech, health))
        yield
        if bridge is not None:
            await bridge.stop()
        if wyoming is not None:
            await wyoming.stop()
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
    # Fresh, since a clip from the cache would prove nothing about who speaks now.
    request = SpeechRequest(SELF_TEST, language="en", door="self-test", fresh=True)
    try:
        async with speech.say(request) as spoken:
            async for chunk in spoken.chunks():
                heard.append(chunk.samples)
                rate = chunk.sample_rate
    except ServiceError as error:
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
