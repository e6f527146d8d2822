"""A stored request becomes a clip under an address, and sound from players where some are named."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from service.clips import ClipShelf
from service.errors import BadRequest, Busy, Expired, VoiceNotFound
from service.mqtt_jobs import StoredJob
from service.players import Players
from service.requests import speech_request
from service.speaking import Speaking
from service.speech import Speech
from service.speech_request import SpeechRequest
from service.voice import Voice
from service.voices import VoiceStore

MOST_AUDIO = 64 * 1024  # bytes of a clip that may travel in the answer
CHOICES = ("voice", "model")
OWN_MODEL = "auto"
_BUSY_PAUSE = 0.5  # seconds; an accepted request waits for its place instead of being refused


@dataclass(frozen=True, slots=True)
class Clip:
    """What was spoken.

    Attributes:
        url: where players find it.
        players: who shall play it.
        volume: 0 to 1, how loud; None for as they are.
        fields: what the answer tells of it.
    """

    url: str
    players: tuple[str, ...]
    volume: float | None
    fields: dict[str, Any]


class Announcer:
    """Speaks stored requests.

    Args:
        speech, voices, clips: the parts of the service that do it.
        players: who can play; None where no Home Assistant is set up.
        base_url: address under which players reach this service.
        sample_rate: rate in Hz of audio whose request names none.
        default_players: who plays what names no players.
        models: lists the ids of the models that can be asked for.

    Attributes:
        models: the same.
    """

    def __init__(
        self,
        speech: Speech,
        voices: VoiceStore,
        clips: ClipShelf,
        players: Players | None,
        *,
        base_url: str,
        sample_rate: int,
        default_players: Sequence[str] = (),
        models: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.models = models
        self._chosen: dict[str, str] = {}
        self._speech = speech
        self._voices = voices
        self._clips = clips
        self._players = players
        self._base_url = base_url.rstrip("/")
        self._sample_rate = sample_rate
        self._default_players = list(default_players)

    @property
    def chosen_voice(self) -> Voice:
        """The voice of requests that name none; the service's default once the chosen is gone."""
        try:
            return self._voices.get(self._chosen.get("voice"))
        except VoiceNotFound:
            return self._voices.default

    @property
    def chosen_model(self) -> str:
        """The model of requests that name none; `OWN_MODEL` for the house's choice."""
        chosen = self._chosen.get("model")
        return chosen if chosen is not None and chosen in self.models() else OWN_MODEL

    def choose(self, what: str, wanted: str) -> str:
        """Set the voice or the model of requests that name none, and give its id.

        Raises:
            VoiceNotFound: no voice has that id or name.
            BadRequest: no model has that id.
        """
        if what == "voice":
            wanted = self._voices.get(wanted).id
        elif wanted not in (OWN_MODEL, *self.models()):
            known = ", ".join((OWN_MODEL, *self.models()))
            raise BadRequest(
                f"model: there is no {wanted[:40]!r}; known are {known}", param="model"
            )
        self._chosen[what] = wanted
        return wanted

    def take_up(self, what: str, chosen: str | None) -> None:
        """Take up what was chosen in an earlier run; it may be gone by now."""
        if chosen is not None:
            self._chosen[what] = chosen

    @contextlib.asynccontextmanager
    async def spoken(self, job: StoredJob) -> AsyncIterator[Clip]:
        """Speak a request to its end and keep it as a clip.

        Leaving the context costs time (the cache is written), which no answer has to wait for.

        Raises:
            ServiceError: it cannot be spoken, or not in the time it is worth.
        """
        async with contextlib.AsyncExitStack() as stack:
            speaking = await self._first_sound(job, stack)
            yield await self._clip(job.fields, speaking)

    async def play(self, clip: Clip) -> None:
        """Have a clip played; its `fields` tell of the volume where one was asked for.

        Raises:
            PlayerNotFound: a player is not there.
            PlayerFailed: Home Assistant cannot be reached, or refuses.
        """
        assert self._players is not None
        turned = await self._players.play(
            clip.players, clip.url, seconds=clip.fields["seconds"], volume=clip.volume
        )
        if clip.volume is not None:
            clip.fields["volume"] = clip.volume if turned else None

    def keep_volumes(self, before: str | None, keep: Callable[[str], Awaitable[None]]) -> None:
        """Give back the volumes that an earlier run left changed, and have changes kept.

        Args:
            before: what was kept last.
            keep: keeps a text over restarts.
        """
        if self._players is not None:
            self._players.volumes.keep = lambda volumes: keep(json.dumps(volumes))
            self._players.volumes.take_up(json.loads(before or "{}"))

    async def close(self) -> None:
        """Leave players alone."""
        if self._players is not None:
            await self._players.volumes.close()

    async def _first_sound(self, job: StoredJob, stack: contextlib.AsyncExitStack) -> Speaking:
        while True:
            try:
                return await stack.enter_async_context(self._speech.say(self._request(job)))
            except Busy:
                await asyncio.sleep(_BUSY_PAUSE)

    async def _clip(self, fields: dict[str, Any], speaking: Speaking) -> Clip:
        rate = fields.get("sample_rate", self._sample_rate)
        file = await self._clips.record(
            speaking.chunks(), fields["format"], rate, speaking.voice.id
        )
        url = f"{self._base_url}/clips/{file}"
        players = fields.get("players", self._default_players) if self._players else []
        answer = {
            "url": url,
            "seconds": round(speaking.seconds, 3),
            "rung": speaking.rung,
            "voice": speaking.voice.id,
            "players": players,
        }
        if fields["audio"]:
            answer["audio"] = await asyncio.to_thread(self._audio, file)
        return Clip(url, tuple(players), fields.get("volume"), answer)

    def _request(self, job: StoredJob) -> SpeechRequest:
        fields = {"voice": self.chosen_voice.id, **job.fields}
        if self.chosen_model != OWN_MODEL:
            fields.setdefault("model", self.chosen_model)
        limit = fields.get("expires")
        if limit is not None:
            if job.age >= limit:
                message = f"not started within the {limit:g} s after which it expires"
                raise Expired(message, param="expires", limit=limit)
            fields["expires"] = limit - job.age
        return speech_request(fields, fields["text"], door="mqtt", client="")

    def _audio(self, file: str) -> str | None:
        """The clip in base64; None for one that is too large for a message."""
        data = self._clips.path(file).read_bytes()
        return base64.b64encode(data).decode() if len(data) <= MOST_AUDIO else None
