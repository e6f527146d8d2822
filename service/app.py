"""Builds the parts, wires them, and starts and stops them with the application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from aiohttp import web

from service.access import TOKEN_FILE, required_token
from service.cache import ClipCache
from service.chimes import Chimes
from service.clips import ClipShelf
from service.config import Settings
from service.discovery import HTTP_TYPE, WYOMING_TYPE, Discovery, reachable_addresses
from service.doorman import Doorman
from service.engine_builds import EngineBuilds
from service.errors import ServiceError
from service.health import Health, read_server_id
from service.http_api import HttpApi
from service.jobs import JobQueue
from service.ladder import Ladder, wrong_sound
from service.metrics import Metrics
from service.model_fleet import ModelFleet
from service.model_jobs import ModelJobs
from service.models import ModelStore
from service.models_api import ModelsApi
from service.mqtt_bridge import MqttBridge
from service.mqtt_setup import make_bridge
from service.plain_rung import PlainRung
from service.prerender import Prerenderer
from service.recent import Recent, RecentApi
from service.remote import RemoteRung
from service.restart import Restarts
from service.rung_worker import Rung
from service.speech import Speech
from service.speech_request import SpeechRequest
from service.supervisor import Supervisor
from service.supervisor_discovery import SupervisorDiscovery
from service.transcripts import Transcripts
from service.voices import VoiceStore
from service.wake_on_lan import WakeOnLan
from service.watching import look_for, probe, restart_when_lost
from service.wyoming_server import WyomingServer

_LOGGER = logging.getLogger(__name__)
HEALTH = web.AppKey("health", Health)
DOORMAN = web.AppKey("doorman", Doorman)
RESTART = web.AppKey("restart", asyncio.Event)  # set when only a new process helps
SELF_TEST = "Ready."
TEST_AGAIN = 10.0  # seconds from a self-test that failed to the next


def plain_only() -> Sequence[Rung]:
    """The ladder of a house that has no model yet."""
    return (PlainRung(),)


def create_app(
    settings: Settings,
    make_rungs: Callable[[], Sequence[Rung]] = plain_only,
    *,
    supervisor: str = "",
) -> web.Application:
    """The whole service as one application.

    Args:
        settings: what the user set.
        make_rungs: makes the ladder's rungs, the best first; may take its time.
        supervisor: what we say to Home Assistant's Supervisor where it runs us; else empty.

    Raises:
        OSError: the data folder cannot be written.
        EngineError: no rung can be made, or the model's folder is not a whole model.
    """
    rungs = list(make_rungs())
    plain = rungs[-1]
    server_id = read_server_id(settings.data)
    cache = ClipCache(settings.data / "cache", settings.cache_mb * 1_000_000)
    remote = None
    if settings.remote_url:
        remote = RemoteRung(
            settings.remote_url,
            settings.remote_token,
            settings.data / "remote-voices.json",
            cache.delete_voice,
            WakeOnLan(settings.remote_mac) if settings.remote_mac else None,
            server_id,
        )
    above = [remote] if remote is not None else []
    ladder = Ladder([*above, *rungs])
    queue = JobQueue(ladder.speak, settings.max_queue, settings.max_wait)
    clips = ClipShelf(settings.data / "clips")

    metrics = Metrics(lambda: queue.depth, lambda: cache.bytes)
    store = ModelStore(settings.data / "models", settings.model)
    jobs = ModelJobs(store, settings.data / "incoming", settings.hub_url)
    models = ModelFleet(
        store,
        metrics.models,
        EngineBuilds(jobs, metrics.models),
        backend=settings.backend,
        in_memory=settings.models_in_memory,
        unload_after=settings.unload_after,
        remote=remote,
    )

    def forget(voice: str) -> None:
        cache.delete_voice(voice)
        clips.delete_voice(voice)

    voices = VoiceStore(
        settings.data / "voices",
        plain.languages,
        PlainRung.version,
        plain.name,
        forget,
        cloned=models.choice.speaker,
    )
    models.join(ladder, voices, rungs, above)
    jobs.unboxed = lambda: jobs.box.enrol(voices)
    ladder.on_step = lambda before, after, code: metrics.steps.labels(before, after, code).inc()
    ladder.on_turn = lambda rung, state, code: metrics.turns.labels(rung, state, code).inc()
    chimes = Chimes(settings.data / "chimes")
    recent = Recent(keep_text=settings.log_text)
    speech = Speech(
        queue,
        voices,
        cache,
        metrics,
        chimes,
        recent,
        language=settings.language,
        max_text=settings.max_text,
        sentence_pause=settings.sentence_pause,
        choose=models.choice.choose,
    )
    prerenderer = Prerenderer(speech)
    token = required_token(
        settings.host,
        settings.token,
        allow_anonymous=settings.allow_anonymous,
        data=settings.data,
    )
    if token and not settings.token:
        _LOGGER.info("clients need the token in %s", settings.data / TOKEN_FILE)
    health = Health(server_id, queue, ladder, models)
    health.last = lambda: metrics.last
    api = HttpApi(
        speech,
        voices,
        clips,
        chimes,
        prerenderer,
        health,
        metrics,
        ModelsApi(models, jobs),
        RecentApi(recent, health),
        sample_rate=settings.sample_rate,
        token=token,
        ingress=bool(supervisor),
        base_url=settings.base_url,
        transcripts=Transcripts(settings.stt_url) if settings.stt_url else None,
    )
    app = api.application()
    app[HEALTH] = health
    app[RESTART] = asyncio.Event()
    app[DOORMAN] = doorman = Doorman()
    app.middlewares.insert(-1, doorman.middleware())  # before the token is asked for
    restarts = Restarts(settings.data / "restarts.json")

    wyoming = None
    if settings.wyoming_port:
        wyoming = WyomingServer(
            settings.host, settings.wyoming_port, speech, voices, settings.sample_rate
        )

    ports = {HTTP_TYPE: settings.port, WYOMING_TYPE: settings.wyoming_port}
    addresses = reachable_addresses(settings.host) if settings.announce else []
    discovery = Discovery(
        health.server_id, addresses, {kind: port for kind, port in ports.items() if port}
    )

    def model_ids() -> list[str]:
        return [model.id for model in models.store.all()]

    def watch(bridge: MqttBridge) -> None:
        health.mqtt = bridge.state
        metrics.watch_mqtt(lambda: bridge.state()["connected"], lambda: bridge.rival)

    bridge = None
    if settings.mqtt_host:
        bridge = make_bridge(settings, speech, voices, clips, health, models=model_ids)
        watch(bridge)

    async def join_house() -> None:
        """Take the broker that Supervisor knows, where the user has named none."""
        nonlocal bridge
        found = await Supervisor(supervisor).with_broker(settings)
        try:
            joined = make_bridge(found, speech, voices, clips, health, models=model_ids)
        except OSError as error:
            _LOGGER.error("the MQTT bridge cannot start: %s", error)
            return
        await joined.start()
        bridge = joined
        watch(bridge)

    async def run(app: web.Application) -> AsyncIterator[None]:
        queue.start()
        if wyoming is not None:
            await wyoming.start()
        if bridge is not None:
            await bridge.start()
        tasks = [
            asyncio.create_task(_become_ready(speech, health)),
            asyncio.create_task(probe(ladder)),
            asyncio.create_task(models.run()),
            asyncio.create_task(models.build_engines()),
            asyncio.create_task(doorman.watch()),
            asyncio.create_task(restart_when_lost(ladder, queue, restarts, app[RESTART].set)),
        ]
        joining = None
        if bridge is None and supervisor:
            joining = asyncio.create_task(join_house())
        if remote is not None:
            tasks.append(asyncio.create_task(look_for(remote, ladder)))
        if addresses:
            # In the background, since it asks the network for seconds whether its name is free.
            tasks.append(asyncio.create_task(discovery.start()))
        if settings.converter:
            tasks.append(asyncio.create_task(jobs.converter.bring_in_the_background()))
        if supervisor:
            told = SupervisorDiscovery(supervisor, settings.port, settings.wyoming_port, token)
            tasks.append(asyncio.create_task(told.tell()))
        yield
        if joining is not None:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
        if bridge is not None:
            await bridge.stop()
        if wyoming is not None:
            await wyoming.stop()
        await prerenderer.close()
        await jobs.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await discovery.stop()
        await asyncio.to_thread(queue.close)
        ladder.close()

    app.cleanup_ctx.append(run)
    return app


async def _become_ready(speech: Speech, health: Health) -> None:
    """Test until it sounds right: what is wrong at the start may come right without a restart."""
    while not await _self_test(speech, health):  # noqa: ASYNC110 - nobody tells when it is well
        await asyncio.sleep(TEST_AGAIN)


async def _self_test(speech: Speech, health: Health) -> bool:
    """Speak a word and look at its sound; only if it sounds right is the service ready."""
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
        return False
    if (problem := wrong_sound(np.concatenate(heard), rate)) is not None:
        health.failure = f"the self-test failed: {problem}"
        _LOGGER.error(health.failure)
        return False
    health.ready, health.failure = True, None
    _LOGGER.info("ready: %s speaks", health.rung)
    return True
