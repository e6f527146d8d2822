"""Who speaks a request: the model that it names, the voice's own, or the one it is dealt."""

from __future__ import annotations

import json
from collections.abc import Callable

from service.installed_model import Choice, InstalledModel
from service.model_traffic import Traffic
from service.models import FOREIGN, ModelStore
from service.remote import RemoteRung
from service.voice import Voice, VoiceFacts


class ModelChoice:
    """Deals requests to models.

    Args:
        store: the installed models and their shares.
        remote: another box that speaks rather than the models here, None where there is none.
        able: whether a model, by id, could speak; one that could not gets nothing dealt.
        rung: the name of the best rung that a model has.
    """

    def __init__(
        self,
        store: ModelStore,
        remote: RemoteRung | None,
        able: Callable[[str], bool],
        rung: Callable[[InstalledModel], str],
    ) -> None:
        self._store = store
        self._remote = remote
        self._able = able
        self._rung = rung

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
        named = self._store.get(asked)
        if asked and named is None and not there and not _means_nothing(asked):
            self._store.find(asked)
        if voice.facts is None:
            return Choice()
        if named is not None or there:
            return Choice(named, asked or "", there)
        model = self._store.get(voice.facts.model)
        if model is None:
            traffic = self._store.traffic
            model = self._pick(traffic, voice.id if traffic.sticky == "voice" else request_id)
        return Choice(model, remote=remote is not None)

    def speaker(self, voice_id: str, facts: VoiceFacts) -> tuple[str | None, str]:
        """Who speaks a voice, for `VoiceStore`: the rung, and what its sound depends on."""
        if self._remote is not None:
            return self._remote.name, self._remote.identity
        traffic = self._store.traffic
        model = self._store.get(facts.model)
        if model is None and traffic.sticky == "request" and len(traffic.weights) > 1:
            dealt = sorted(traffic.weights.items())
            among = [each for each in self._store.all() if each.id in traffic.weights]
            sounds = [(each.id, each.sound) for each in among]
            return self._rung(among[0]), json.dumps([dealt, sounds])
        model = model or self._pick(traffic, voice_id)
        return (None, "") if model is None else (self._rung(model), model.sound)

    def _pick(self, traffic: Traffic, key: str) -> InstalledModel | None:
        able = {model.id for model in self._store.all() if self._able(model.id)}
        return self._store.get(traffic.pick(key, able) or traffic.pick(key, traffic.weights.keys()))


def _means_nothing(asked: str) -> bool:
    """Whether a name is one that OpenAI's clients send without meaning a model of ours."""
    return asked == "default" or FOREIGN.fullmatch(asked) is not None
