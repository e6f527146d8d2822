"""The installed models as rungs of the ladder: who is meant, who is in memory, who stands in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Any

from engines.errors import EngineError
from service.engine_builds import EngineBuilds
from service.graphics_card import CARD, CPU, backends_for
from service.installed_model import Choice, InstalledModel
from service.ladder import Ladder
from service.model_errors import InstallFailed, ModelUnusable
from service.model_metrics import ModelMetrics
from service.model_rung import ModelRung
from service.model_traffic import Traffic
from service.models import FOREIGN, ModelStore
from service.remote import RemoteRung
from service.rung_worker import Rung
from service.voice import Voice, VoiceFacts
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
LOOK_EVERY = 1.0  # seconds between looks at memory
REFRESH_EVERY = 10  # looks between two at the folder
RETRY_AFTER = 60.0  # seconds after which a model that could not be loaded is tried again
FOR_CARDS = "fp32"  # the precision of models that engines are built of


class ModelFleet:
    """Keeps the ladder's model rungs what the store says, and the memory within its limits.

    Args:
        store: the installed models.
        metrics: where to count.
        builds: builds what a graphics card needs.
        backend: who runs the networks: a backend's name, or `auto`.
        in_memory: models that a backend may have in memory at a time.
        remote: another box that speaks rather than the models here, None where there is none.
        unload_after: minutes after its last sentence that a model leaves the memory; 0 for never.
    """

    def __init__(
        self,
        store: ModelStore,
        metrics: ModelMetrics,
        builds: EngineBuilds,
        *,
        backend: str = "auto",
        in_memory: int = 2,
        unload_after: float = 0.0,
        remote: RemoteRung | None = None,
    ) -> None:
        self.store = store
        self._metrics = metrics
        self._builds = builds
        self._setting = backend
        self._backends = backends_for(backend)
        self._in_memory = in_memory
        self._unload_after = unload_after * 60
        self._remote = remote
        self._rungs: dict[str, list[ModelRung]] = {}  # of each model, the best first
        self._failed_at: dict[ModelRung, float] = {}
        self._lock = threading.Lock()
        self._voices: VoiceStore | None = None
        self._ladder: Ladder | None = None
        self._above: Sequence[Rung] = ()
        self._below: Sequence[Rung] = ()

    def join(
        self,
        ladder: Ladder,
        voices: VoiceStore,
        below: Sequence[Rung],
        above: Sequence[Rung] = (),
    ) -> None:
        """Put the models into the ladder, between the rungs `above` and `below`."""
        self._ladder, self._voices, self._above, self._below = ladder, voices, above, below
        self.store.changed = self.arrange
        self.arrange()

    def arrange(self) -> None:
        """Make the ladder what the store says; the model with the largest share goes first."""
        assert self._ladder is not None
        with self._lock:
            before = self._all()
            self._rungs = {model.id: self._rungs_of(model) for model in self.store.all()}
            self._expect()
            # Any card goes before any CPU; within a request its own model goes before the others.
            ranked = [
                rung
                for backend in self._backends
                for rung in self._ranked()
                if rung.name == backend
            ]
            self._ladder.arrange([*self._above, *ranked, *self._below])
            gone = [rung for rung in before if rung not in ranked]
        for rung in gone:
            rung.retire()
            self._failed_at.pop(rung, None)
            if rung.model_id not in self._rungs:
                self._metrics.forget(rung.model_id)
        self._tell()

    def choose(
        self, voice: Voice, asked: str | None, request_id: str, *, relayed: bool = False
    ) -> Choice:
        """Who speaks a request: the model that it names, the voice's own, or the traffic's.

        Another box goes before the models of this house, but for a named one that it lacks.

        Raises:
            ModelNotFound: the request names one that is neither here nor there.
        """
        remote = None if relayed else self._remote
        there = remote is not None and remote.has_model(asked or "")
        named = self.store.get(asked)
        if asked and named is None and not there and not _means_nothing(asked):
            self.store.find(asked)
        if voice.facts is None:
            return Choice()
        if named is not None or there:
            return Choice(named, asked or "", there)
        model = self.store.get(voice.facts.model)
        if model is None:
            traffic = self.store.traffic
            model = self._pick(traffic, voice.id if traffic.sticky == "voice" else request_id)
        return Choice(model, remote=remote is not None)

    def speaker(self, voice_id: str, facts: VoiceFacts) -> tuple[str | None, str]:
        """Who speaks a voice, for `VoiceStore`: the rung, and what its sound depends on."""
        if self._remote is not None:
            return self._remote.name, self._remote.identity
        traffic = self.store.traffic
        model = self.store.get(facts.model)
        if model is None and traffic.sticky == "request" and len(traffic.weights) > 1:
            dealt = sorted((key, share) for key, share in traffic.weights.items())
            sounds = [(each.id, each.sound) for each in self.store.all() if each.id in dict(dealt)]
            return self._backends[0], json.dumps([dealt, sounds])
        model = model or self._pick(traffic, voice_id)
        return (None, "") if model is None else (self._rungs_of(model)[0].name, model.sound)

    def state(self, model_id: str) -> tuple[str, str | None]:
        """How a model is, and why if it is not well: its best rung that could speak counts."""
        rungs = self._rungs.get(model_id)
        if not rungs:
            return "unloaded", None
        down = self._down()
        told = [self._rung_state(rung, down) for rung in rungs]
        best = next((state for state, _ in told if state in ("ready", "unloaded")), None)
        if best is not None:
            return best, None
        waits = next((state for state, _ in reversed(told) if state != "failed"), None)
        return waits or "failed", next((why for _, why in told if why is not None), None)

    def rungs(self, model_id: str) -> list[dict[str, Any]]:
        """Each rung of a model: who runs it, how it is, and why if it is not well."""
        down = self._down()
        told = [
            (rung.name, *self._rung_state(rung, down)) for rung in self._rungs.get(model_id, ())
        ]
        return [{"name": name, "state": state, "reason": why} for name, state, why in told]

    @property
    def main(self) -> dict[str, Any] | None:
        """The model with the largest share and how it is; None where no model has any."""
        weights = self.store.traffic.weights
        model = self.store.get(max(weights, key=lambda each: weights[each], default=None))
        if model is None:
            return None
        state, reason = self.state(model.id)
        return {"id": model.id, "name": model.name, "state": state, "reason": reason}

    def serving(self, model_id: str) -> bool:
        """Whether a model has traffic and can speak, be it that a sentence must load it first."""
        able = any(rung.ready for rung in self._rungs.get(model_id, ()))
        return able and self.store.traffic.share(model_id) > 0

    async def promote(self, model_id: str) -> Traffic:
        """Give a model all the traffic, once it is in memory; nobody waits for it.

        Raises:
            ModelNotFound: there is no such model.
            ModelUnusable: it cannot be loaded; the traffic stays as it is.
            StorageFailed: the choice cannot be kept; the traffic stays as it is.
        """
        await self._ready(model_id)
        return await asyncio.to_thread(self.store.promote, model_id)

    async def rollback(self, model_id: str) -> Traffic:
        """Return to the traffic of before; errors as `ModelStore.rollback`."""
        before = self.store.traffic.back()
        for earlier in list(before.weights)[: self._in_memory] if before is not None else ():
            with contextlib.suppress(ModelUnusable):
                await self._ready(earlier)
        return await asyncio.to_thread(self.store.rollback, model_id)

    async def share(self, weights: Mapping[str, float], sticky: str | None) -> Traffic:
        """Share the speech anew, once the models that get the most are in memory.

        Raises:
            ModelNotFound, ModelUnusable, StorageFailed: as `promote`.
        """
        ranked = sorted(weights, key=lambda each: -weights[each])
        for model_id in [each for each in ranked if weights[each] > 0][: self._in_memory]:
            await self._ready(model_id)
        return await asyncio.to_thread(self.store.set_traffic, weights, sticky)

    def unload(self, model_id: str) -> None:
        """Free a model's memory; the next sentence for it loads it again.

        Raises:
            ModelNotFound: there is no such model.
        """
        self.store.find(model_id)
        for rung in self._rungs[model_id]:
            rung.unload()

    def build(self, model_id: str) -> bool:
        """Look for a model's engines again, and build what is missing; whether a card wants some.

        Raises:
            ModelNotFound: there is no such model.
        """
        self.store.find(model_id)
        wanting = [rung for rung in self._rungs[model_id] if rung.name == CARD]
        for rung in wanting:
            if rung.state != "building" and rung.unload():
                rung.prepared, rung.failure = False, None
        return bool(wanting)

    async def release(self, model_id: str) -> None:
        """Let nobody write to a model's folder any more: it is about to be deleted."""
        await self._builds.stop(model_id)

    async def _ready(self, model_id: str) -> None:
        self.store.find(model_id)
        failure: EngineError | None = None
        able = False
        for rung in [each for each in self._rungs[model_id] if each.prepared]:
            try:
                # Beside the one that speaks now: its sentences must not wait for it to come back.
                await asyncio.to_thread(rung.load, beside=True)
                able = True
            except EngineError as error:
                failure = error
        if not able:
            raise ModelUnusable(f"model: {model_id}: {failure}", param="model") from failure

    async def run(self) -> None:
        """Load ahead, unload what is idle, see what else was installed; until cancelled."""
        looks = 0
        while True:
            if looks % REFRESH_EVERY == 0:
                await asyncio.to_thread(self.store.refresh)
            looks += 1
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY)

    async def build_engines(self) -> None:
        """Build what cards want, the model with the largest share first; until cancelled."""
        while True:
            for rung in [each for each in self._ranked() if each.state == "building"]:
                await self._prepare(rung)
                await asyncio.to_thread(self.arrange)
            await asyncio.sleep(LOOK_EVERY)

    async def _prepare(self, rung: ModelRung) -> None:
        try:
            await self._builds.build(rung.model)
            rung.prepared = True
        except InstallFailed as error:
            if error.code == "backend_unavailable" and self._setting == "auto":
                _LOGGER.info("the CPU speaks: %s", error)
                self._backends = (CPU,)
                return
            rung.failure = str(error)

    def look(self) -> None:
        """Load what is expected; unload what is idle or too much. Blocks while it loads."""
        now = monotonic()
        # The CPU first: it stands in while a card takes its time, or takes for ever.
        for rung in reversed(self._all()):
            failed_at = self._failed_at.get(rung, now)
            again = rung.prepared and rung.state == "failed" and now - failed_at >= RETRY_AFTER
            if rung.state == "loading" or (again and self.store.traffic.share(rung.model_id)):
                self._load(rung)
            if rung.state == "failed" and (again or rung not in self._failed_at):
                self._failed_at[rung] = now
            idle = self._unload_after and now - rung.used > self._unload_after
            if rung.state == "ready" and idle:
                rung.unload()
        self._shrink(self._in_memory)
        self._tell()

    def _load(self, rung: ModelRung) -> None:
        try:
            rung.load()
        except EngineError as error:
            if getattr(error, "sticky", False):
                assert self._ladder is not None
                self._ladder.step_down(rung, error)  # only a new process can use the device

    def _shrink(self, limit: int, besides: ModelRung | None = None) -> None:
        """Unload the least recently used models; one that is speaking stays for now."""
        for backend in self._backends if besides is None else (besides.name,):
            ready = [rung for rung in self._all() if rung.name == backend]
            ready = [rung for rung in ready if rung.state == "ready" and rung is not besides]
            ready.sort(key=lambda each: each.used)
            for rung in ready[: max(0, len(ready) - limit)]:
                rung.unload()

    def _expect(self) -> None:
        """Say which models are to be in memory before anybody asks for them."""
        share = self.store.traffic.share
        for backend in self._backends:
            ranked = [rung for rung in self._ranked() if rung.name == backend]
            for rung in ranked[: self._in_memory]:
                if share(rung.model_id) and rung.state == "unloaded":
                    rung.expect()

    def _all(self) -> list[ModelRung]:
        return [rung for rungs in self._rungs.values() for rung in rungs]

    def _ranked(self) -> list[ModelRung]:
        return sorted(self._all(), key=lambda rung: -self.store.traffic.share(rung.model_id))

    def _rungs_of(self, model: InstalledModel) -> list[ModelRung]:
        """The rungs of a model; those that are there stay."""
        there = {rung.name: rung for rung in self._rungs.get(model.id, ())}
        wanted = self._backends
        if self._setting == "auto" and model.precision != FOR_CARDS:
            wanted = (CPU,)  # its matrices are laid out for the CPU
        return [there.get(backend) or self._rung(model, backend) for backend in wanted]

    def _rung(self, model: InstalledModel, backend: str) -> ModelRung:
        assert self._voices is not None
        return ModelRung(
            model,
            self._voices,
            backend,
            stands_in=self.serving,
            make_room=lambda rung: self._shrink(self._in_memory - 1, besides=rung),
            failed=self._metrics.failed,
        )

    def _pick(self, traffic: Traffic, key: str) -> InstalledModel | None:
        able = {key for key in self._rungs if self.state(key)[0] != "failed"}
        return self.store.get(traffic.pick(key, able) or traffic.pick(key, traffic.weights.keys()))

    def _rung_state(
        self, rung: ModelRung, down: Mapping[tuple[str, str], str]
    ) -> tuple[str, str | None]:
        """How a rung is; one that is in memory may have been stepped down from."""
        why = down.get((rung.model_id, rung.name))
        if rung.state == "ready" and why is not None:
            return "failed", why
        return rung.state, rung.failure

    def _down(self) -> dict[tuple[str, str], str]:
        rungs = self._ladder.snapshot() if self._ladder is not None else []
        return {
            (rung["model"], rung["name"]): rung["reason"]
            for rung in rungs
            if rung["model"] and not rung["up"]
        }

    def _tell(self) -> None:
        for key, rungs in list(self._rungs.items()):
            share = self.store.traffic.share(key)
            loaded = any(rung.state == "ready" for rung in rungs)
            self._metrics.is_now(key, loaded=loaded, share=share)


def _means_nothing(asked: str) -> bool:
    """Whether a name is one that OpenAI's clients send without meaning a model of ours."""
    return asked == "default" or FOREIGN.fullmatch(asked) is not None
