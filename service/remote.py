"""The rung that is another box's service: the app on the small computer, the card in the big one.

It speaks the voices that the other box knows by the same id. A request that came from another box
is never handed on, so two boxes that name each other cannot send a sentence round in circles.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import select
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from engines.audio import AudioChunk
from engines.errors import EngineError, TextError
from engines.text import SPEAKABLE
from engines.text.segment import LANGUAGES
from service.durable import write_file
from service.ladder import Fallback
from service.rung_worker import Bounds, Cancelled, RungDeclines
from service.sampling import AS_USUAL
from service.utterance import Utterance
from service.wake_on_lan import WakeOnLan

_LOGGER = logging.getLogger(__name__)
RELAYED = "X-Speech-Relayed"  # header of a request that comes from another box
RATE = 32_000  # Hz; what the models make
CONNECT = 1.5  # seconds; a box in the same house that is awake needs a hundredth of it
ANSWER = 5.0  # seconds without a byte after which the box counts as gone
WANTED = 300.0  # seconds after a request in which looking for a sleeping box may wake it
LONGEST = 600.0  # seconds of sound that a sentence may have
_LARGEST = 1 << 20  # bytes of an answer that is not sound
_PIECE = 1 << 15  # bytes of sound at a time, half a second


class RemoteLost(EngineError):
    """The other box does not answer, or answers what it should not."""

    code = "remote_lost"


class RemoteLacks(RungDeclines):
    """The other box does not have the voice."""

    code = "remote_lacks_voice"


class RemoteBusy(RungDeclines):
    """The other box has too much to do."""

    code = "remote_busy"


class RemoteRung:
    """Another box's service.

    Args:
        url: where it is, `http://host:port` with or without a path.
        token: what it wants to see, empty for nothing.
        memory: file that keeps which voices it has over restarts of this box.
        changed: told the id of a voice that sounds different over there from now on.
        wake: wakes that box, None where nobody said how.
        own_id: this service's id, to notice an address that leads back here.

    Attributes:
        identity: names the box.
        failure: why it cannot speak although it answers, for a person.
    """

    name = "remote"
    languages = tuple(LANGUAGES)
    patience = CONNECT + 2 * ANSWER  # its own limits are shorter; this is for what they miss
    bounds = Bounds(first_audio=3.0, real_time_factor=1.0)

    def __init__(
        self,
        url: str,
        token: str,
        memory: Path,
        changed: Callable[[str], None] = lambda voice: None,
        wake: WakeOnLan | None = None,
        own_id: str = "",
    ) -> None:
        self._url = urlsplit(url.rstrip("/"))
        # Which model speaks over there is told by its voices' revisions, see `look`.
        self.identity = f"remote {self._url.geturl()}"
        self._token = token
        self._memory = memory
        self._changed = changed
        self._wake = wake
        self._own_id = own_id
        # Id and revision of the voices that it can speak, and ids of its models.
        self._voices, self._models = self._remembered()
        self._asleep = False
        self._wanted: float | None = None
        self._told: set[str] = set()
        self.failure: str | None = None

    @property
    def ready(self) -> bool:
        """Whether it is known to have a voice."""
        return self.failure is None and bool(self._voices)

    def look(self) -> None:
        """See whether the box is there and which voices it has; blocks.

        Raises:
            RemoteLost: it is not there.
        """
        if self._own_id and self._get("/health").get("id") == self._own_id:
            self.failure = "remote_url leads back to this service itself"
            return
        installed = self._get("/v1/models", there=False).get("data", [])
        listed = self._get("/v1/voices").get("voices", [])
        found = {
            str(voice["id"]): str(voice["revision"])
            for voice in listed
            if voice.get("cloned") and voice.get("usable") and voice.get("rung")
        }
        self.failure = None if found else f"{self._url.geturl()} has no voice of a person"
        models = frozenset(str(model["id"]) for model in installed)
        before = self._voices, self._models
        self._voices, self._models = found, models
        if before == (found, models):
            return
        known, _ = before
        self._told.clear()
        for voice in found.keys() & known.keys():
            if found[voice] != known[voice]:
                self._changed(voice)
        self._remember()

    def has_model(self, model_id: str) -> bool:
        """Whether a model of that id was there when it was looked at last."""
        return model_id in self._models

    def speaks(self, utterance: Utterance) -> bool:
        """Whether the box has the voice, and the model that the request names, by what it said
        last; wakes it if it sleeps."""
        if utterance.relayed or self.failure is not None or _general(utterance) not in LANGUAGES:
            return False
        if utterance.voice not in self._voices:
            if self._voices and utterance.voice not in self._told:
                self._told.add(utterance.voice)
                _LOGGER.info("%s lacks the voice %s", self._url.geturl(), utterance.voice)
            return False
        if utterance.named and not self.has_model(utterance.named):
            return False
        self._wanted = monotonic()
        if self._asleep:
            self._wake_up()
        return True

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence as its sound comes in; the voice "" is any that the box has.

        Raises:
            RemoteLost: the box does not answer, breaks off or does not know the token.
            RemoteLacks, RemoteBusy: it cannot say this one.
            TextError: it refuses the text.
        """
        voice = utterance.voice or next(iter(self._voices), "")
        if not voice:
            raise RemoteLost(f"{self._url.geturl()}: its voices are not known yet")
        body = {
            "input": utterance.text,
            "voice": voice,
            "language": utterance.language,
            "speed": utterance.speed,
            "response_format": "pcm",
            "sample_rate": RATE,
            # The plain voice is here too, and nearer.
            "fallback": "none" if utterance.fallback == Fallback.NONE else "cpu",
        }
        usual = asdict(AS_USUAL)
        drawn = asdict(utterance.sampling)
        body |= {name: value for name, value in drawn.items() if value != usual[name]}
        if utterance.style is not None:
            body["style"] = utterance.style
        if utterance.normalize != SPEAKABLE:
            body["normalize"] = utterance.normalize
        if utterance.named:
            body["model"] = utterance.named
        kind = "request" if utterance.voice else "probe"
        with self._ask("POST", "/v1/audio/speech", body, cancelled, kind) as response:
            if response is None:
                return
            if response.status != 200:
                self._refused(voice, response)
            if response.headers.get("X-Speech-Rung") == "plain":
                raise self._lacks(voice, "it would be spoken by that box's plain voice")
            yield from _sound(response, cancelled)

    def _refused(self, voice: str, response: http.client.HTTPResponse) -> None:
        error = _json(response.read(_LARGEST)).get("error", {})
        code, message = str(error.get("code")), str(error.get("message"))[:300]
        if code in ("voice_not_found", "consent_missing"):
            raise self._lacks(voice, message)
        if code in ("style_not_found", "model_not_found"):
            raise RemoteLacks(f"{self._url.geturl()}: {message}")
        if response.status in (400, 413):
            raise TextError(message)
        if response.status in (429, 503, 504):
            raise RemoteBusy(f"{self._url.geturl()}: {message}")
        # Without its message, which may quote what was to be said: `/health` shows this.
        raise RemoteLost(f"{self._url.geturl()} answered {response.status} ({code[:40]})")

    def _lacks(self, voice: str, why: str) -> RemoteLacks:
        self._voices = {key: kept for key, kept in self._voices.items() if key != voice}
        return RemoteLacks(f"{self._url.geturl()} lacks the voice {voice}: {why}")

    def _get(self, path: str, *, there: bool = True) -> dict[str, Any]:
        """An answer; empty for a route that a box need not have."""
        with self._ask("GET", path) as response:
            assert response is not None
            if response.status == 404 and not there:
                return {}
            if response.status != 200:
                hint = ": is remote_token right?" if response.status == 401 else ""
                raise RemoteLost(f"{self._url.geturl()}{path} answered {response.status}{hint}")
            return _json(response.read(_LARGEST))

    @contextlib.contextmanager
    def _ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        cancelled: Cancelled = lambda: False,
        kind: str = "look",
    ) -> Iterator[http.client.HTTPResponse | None]:
        """Send a request; None where nobody wanted the answer any more."""
        headers = {RELAYED: kind, "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        connection = self._connection()
        try:
            connection.connect()
            self._asleep = False
            connection.sock.settimeout(ANSWER)
            data = json.dumps(body) if body is not None else None
            connection.request(method, self._url.path + path, data, headers)
            yield connection.getresponse() if _answers(connection.sock, cancelled) else None
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            self._notice(connection, error)
            reason = str(error) or type(error).__name__
            raise RemoteLost(f"{self._url.geturl()} does not answer well: {reason}") from error
        finally:
            connection.close()

    def _notice(self, connection: http.client.HTTPConnection, error: Exception) -> None:
        """A box that sleeps or is switched off gives no sign at all; one that is up refuses."""
        silent = isinstance(error, OSError) and not isinstance(error, ConnectionError)
        if connection.sock is None and silent:
            self._asleep = True
            if self._wanted is not None and monotonic() - self._wanted < WANTED:
                self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None:
            self._wake.wake()

    def _connection(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, port, timeout=CONNECT, context=context)
        return http.client.HTTPConnection(host, port, timeout=CONNECT)

    def _remembered(self) -> tuple[dict[str, str], frozenset[str]]:
        try:
            kept = _json(self._memory.read_bytes())
        except (OSError, ValueError):
            kept = {}
        if kept.get("url") != self._url.geturl():
            kept = {}
        voices, models = kept.get("voices"), kept.get("models")
        known = voices if isinstance(voices, dict) else {}
        listed = models if isinstance(models, list) else []
        return {str(voice): str(each) for voice, each in known.items()}, frozenset(map(str, listed))

    def _remember(self) -> None:
        kept = {
            "url": self._url.geturl(),
            "voices": self._voices,
            "models": sorted(self._models),
        }
        try:
            write_file(self._memory, json.dumps(kept).encode())
        except OSError as error:
            _LOGGER.warning("the remote box's voices cannot be remembered: %s", error)


def _general(utterance: Utterance) -> str:
    return utterance.language.lower().replace("_", "-").split("-")[0]


def _answers(line: socket.socket, cancelled: Cancelled) -> bool:
    """Wait for the first byte; False once nobody wants it.

    Raises:
        TimeoutError: it did not come.
    """
    deadline = monotonic() + ANSWER
    while not cancelled():
        if select.select([line], [], [], 0.05)[0]:
            return True
        if monotonic() >= deadline:
            raise TimeoutError(f"kept silent for {ANSWER:g} s")
    return False


def _sound(response: http.client.HTTPResponse, cancelled: Cancelled) -> Iterator[AudioChunk]:
    rate = int(response.headers.get("X-Audio-Sample-Rate") or RATE)
    left, seconds = b"", 0.0
    while data := response.read1(_PIECE):
        if cancelled():
            return
        whole = left + data
        even = len(whole) // 2 * 2
        left = whole[even:]
        if even:
            seconds += even / 2 / rate
            if seconds > LONGEST:
                raise ValueError(f"more than {LONGEST:g} s for one sentence")
            samples = np.frombuffer(whole[:even], "<i2").astype(np.float32) / np.float32(32768)
            yield AudioChunk(samples, rate)
    if response.length:
        raise http.client.IncompleteRead(left)
    if not seconds:
        raise ValueError("an answer without sound")


def _json(data: bytes) -> dict[str, Any]:
    """Parse an object.

    Raises:
        ValueError: it is none.
    """
    parsed = json.loads(data)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")
    return parsed
