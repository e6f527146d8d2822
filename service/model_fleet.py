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
from service.installed_model import InstalledModel
from service.ladder import Ladder
from service.model_errors import ModelUnusable
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


class ModelFleet:
    """Keeps the ladder's model rungs what the store says, and the memory within its limits.

    Args:
        store: the installed models.
        metrics: where to count.
        backend: who runs the networks: a backend's name, or `auto`.
        in_memory: models that may be in memory at a time.
        remote: another box that speaks rather than the models here, None where there is none.
        unload_after: minutes after its last sentence that a model leaves the memory; 0 for never.
    """

    def __init__(
        self,
        store: ModelStore,
        metrics: ModelMetrics,
        *,
        backend: str = "auto",
        in_memory: int = 2,
        unload_after: float = 0.0,
        remote: RemoteRung | None = None,
    ) -> None:
        self.store = store
        self._metrics = metrics
        self._backend = "onnxruntime" if backend == "auto" else backend
        self._in_memory = in_memory
        self._unload_after = unload_after * 60
        self._remote = remote
        self._rungs: dict[str, ModelRung] = {}
        self._failed_at: dict[str, float] = {}
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
            models = {model.id: model for model in self.store.all()}
            gone = [rung for key, rung in self._rungs.items() if key not in models]
            self._rungs = {key: self._rungs.get(key) or self._rung(models[key]) for key in models}
            share = self.store.traffic.share
            ranked = sorted(self._rungs.values(), key=lambda rung: -share(rung.model_id))
            for rung in ranked[: self._in_memory]:
                if share(rung.model_id) and rung.state == "unloaded":
                    rung.expect()
            self._ladder.arrange([*self._above, *ranked, *self._below])
        for rung in gone:
            rung.retire()
            self._metrics.forget(rung.model_id)
        self._tell()

    def choose(self, voice: Voice, asked: str | None, request_id: str) -> InstalledModel | None:
        """The model of a request: the one that it names, the voice's own, or the traffic's.

        Raises:
            ModelNotFound: the request names one that is not there.
        """
        named = None
        if asked and asked != "default" and not (self.store.get(asked) or FOREIGN.fullmatch(asked)):
            self.store.find(asked)
        elif asked:
            named = self.store.get(asked)
        if voice.facts is None:
            return None
        if named is not None:
            return named
        if (own := self.store.get(voice.facts.model)) is not None:
            return own
        traffic = self.store.traffic
        return self._pick(traffic, voice.id if traffic.sticky == "voice" else request_id)

    def speaker(self, voice_id: str, facts: VoiceFacts) -> tuple[str | None, str]:
        """Who speaks a voice, for `VoiceStore`: the rung, and what its sound depends on."""
        if self._remote is not None:
            return self._remote.name, self._remote.identity
        traffic = self.store.traffic
        model = self.store.get(facts.model)
        if model is None and traffic.sticky == "request" and len(traffic.weights) > 1:
            dealt = sorted((key, share) for key, share in traffic.weights.items())
            sounds = [(each.id, each.sound) for each in self.store.all() if each.id in dict(dealt)]
            return self._backend, json.dumps([dealt, sounds])
        model = model or self._pick(traffic, voice_id)
        return (None, "") if model is None else (self._backend, model.sound)

    def state(self, model_id: str) -> tuple[str, str | None]:
        """How a model is, and why if it is not well."""
        rung = self._rungs.get(model_id)
        if rung is None:
            return "unloaded", None
        down = self._down().get(model_id)
        if rung.state == "ready" and down is not None:
            return "failed", down
        return rung.state, rung.failure

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
        rung = self._rungs.get(model_id)
        able = rung is not None and rung.state in ("ready", "unloaded")
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
        self._rungs[model_id].unload()

    async def _ready(self, model_id: str) -> None:
        self.store.find(model_id)
        rung = self._rungs[model_id]
        try:
            # Beside the one that speaks now: its sentences must not wait for it to come back.
            await asyncio.to_thread(rung.load, beside=True)
        except EngineError as error:
            raise ModelUnusable(f"model: {model_id}: {error}", param="model") from error

    async def run(self) -> None:
        """Load ahead, unload what is idle, see what else was installed; until cancelled."""
        looks = 0
        while True:
            if looks % REFRESH_EVERY == 0:
                await asyncio.to_thread(self.store.refresh)
            looks += 1
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Load what is expected; unload what is idle or too much. Blocks while it loads."""
        now = monotonic()
        for rung in list(self._rungs.values()):
            failed_at = self._failed_at.get(rung.model_id, now)
            again = rung.state == "failed" and now - failed_at >= RETRY_AFTER
            if rung.state == "loading" or (again and self.store.traffic.share(rung.model_id)):
                with contextlib.suppress(EngineError):
                    rung.load()
            if rung.state == "failed" and (again or rung.model_id not in self._failed_at):
                self._failed_at[rung.model_id] = now
            idle = self._unload_after and now - rung.used > self._unload_after
            if rung.state == "ready" and idle:
                rung.unload()
        self._shrink(self._in_memory)
        self._tell()

    def _shrink(self, limit: int, besides: ModelRung | None = None) -> None:
        """Unload the least recently used models; one that is speaking stays for now."""
        ready = [rung for rung in self._rungs.values() if rung.state == "ready"]
        ready = sorted((rung for rung in ready if rung is not besides), key=lambda each: each.used)
        for rung in ready[: max(0, len(ready) - limit)]:
            rung.unload()

    def _rung(self, model: InstalledModel) -> ModelRung:
        assert self._voices is not None
        return ModelRung(
            model,
            self._voices,
            self._backend,
            stands_in=self.serving,
            make_room=lambda rung: self._shrink(self._in_memory - 1, besides=rung),
            failed=self._metrics.failed,
        )

    def _pick(self, traffic: Traffic, key: str) -> InstalledModel | None:
        down = self._down()
        able = {
            each
            for each, rung in self._rungs.items()
            if rung.state != "failed" and each not in down
        }
        return self.store.get(traffic.pick(key, able) or traffic.pick(key, traffic.weights.keys()))

    def _down(self) -> dict[str, str]:
        rungs = self._ladder.snapshot() if self._ladder is not None else []
        return {rung["model"]: rung["reason"] for rung in rungs if rung["model"] and not rung["up"]}

    def _tell(self) -> None:
        for key, rung in list(self._rungs.items()):
            share = self.store.traffic.share(key)
            self._metrics.is_now(key, loaded=rung.state == "ready", share=share)
