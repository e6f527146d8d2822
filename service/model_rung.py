"""A rung that clones: one converted GPT-SoVITS model, speaking the voices of this house."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from time import monotonic

from engines import (
    AudioChunk,
    BertFeatures,
    Enroller,
    Streaming,
    Synthesizer,
    open_backend,
)
from engines.backends import Backend, WarmsUp
from engines.errors import (
    BackendUnavailableError,
    CheckpointError,
    EngineError,
    OutOfMemoryError,
    PromptError,
    TextError,
)
from engines.model_folder import TOKENIZER, ModelFolder
from engines.text import LANGUAGES, phonemize
from service.graphics_card import CARD
from service.installed_model import InstalledModel
from service.model_prompts import ModelPrompts
from service.own_thread import DeviceHung, OwnThread
from service.rung_worker import Bounds, Cancelled
from service.utterance import Utterance
from service.voice import Voice
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
LOAD_WITHIN = 300.0  # seconds; a slow disk takes tens of them
_UNLOAD_WITHIN = 30.0
_WARM_UP = Utterance("Ready.", "", "en")


@dataclass(frozen=True, slots=True)
class _Limits:
    """What is asked of a backend: seconds that its next chunk may take, and how slow it may be."""

    patience: float
    bounds: Bounds


# On the CPU a long sentence takes tens of seconds; slower than the bounds, and sentence after
# sentence, is a machine that has other things to do. A card that takes longer than a CPU would is
# ill, or makes pictures.
_ON_CPU = _Limits(60.0, Bounds(first_audio=20.0, real_time_factor=6.0))
_ON_CARD = _Limits(15.0, Bounds(first_audio=3.0, real_time_factor=1.0))


@dataclass(slots=True)
class _Loaded:
    """The networks in memory."""

    backend: Backend
    enroller: Enroller
    synthesizer: Synthesizer


class ModelRung:
    """One installed model, run by one backend.

    It is in memory or not: a sentence that comes for it loads it. While it is being loaded ahead of
    its first sentence it speaks no voice, so that another rung stands in meanwhile.

    Args:
        model: the model.
        voices: the voices that it is to speak.
        backend: who runs the networks; answers call the rung so.
        stands_in: whether this model, by id, may speak what was meant for another one.
        make_room: called before it goes into memory.
        failed: told the model's id and the error's code of every sentence that failed.

    Attributes:
        failure: why it could not be loaded or prepared, for a person.
        prepared: whether all is there that loading it needs: a card needs engines.
        used: `time.monotonic()` of its latest sentence, or of its loading.
    """

    languages = tuple(LANGUAGES)

    def __init__(
        self,
        model: InstalledModel,
        voices: VoiceStore,
        backend: str = "onnxruntime",
        *,
        stands_in: Callable[[str], bool] = lambda model: True,
        make_room: Callable[[ModelRung], None] = lambda rung: None,
        failed: Callable[[str, str], None] = lambda model, code: None,
    ) -> None:
        self.model = model
        self.name = backend
        limits = _ON_CARD if backend == CARD else _ON_CPU
        self.patience: float | None = limits.patience
        self.bounds: Bounds | None = limits.bounds
        self.failure: str | None = None
        self.prepared = backend != CARD
        self.used = monotonic()
        self._voices = voices
        self._stands_in = stands_in
        self._make_room = make_room
        self._failed = failed
        self._loaded: _Loaded | None = None
        self._checked = False
        self._expected = False  # somebody loads it, or is about to
        self._retired = False
        self._loading = threading.Lock()
        self._speaking = threading.Lock()
        self._prompts = ModelPrompts(voices, model.facts)
        # All that its device sees comes from here.
        self._device = OwnThread(f"{backend} {model.id}")

    @property
    def model_id(self) -> str:
        """Which model it speaks."""
        return self.model.id

    @property
    def ready(self) -> bool:
        """Whether it could speak now, be it that a sentence must load it first."""
        return self.state in ("ready", "unloaded")

    @property
    def state(self) -> str:
        """How it is: ready (in memory), loading, building (its engines), unloaded (the next
        sentence loads it), failed."""
        if self._loaded is not None:
            return "ready"
        if self._expected:
            return "loading"
        if self.failure:
            return "failed"
        return "unloaded" if self.prepared else "building"

    def expect(self) -> None:
        """Say that it is about to be loaded, so that no sentence waits for that."""
        self._expected = True

    def load(self, *, beside: bool = False) -> None:
        """Load the networks; takes seconds. What fails is kept in `failure`, logged and raised.

        Args:
            beside: others stay in memory for now, however many they are.

        Raises:
            EngineError: the model cannot be loaded.
        """
        if not self.prepared:
            raise BackendUnavailableError(self.failure or f"{self.model.id} has no engines yet")
        self._expected = True
        try:
            with self._loading:
                if self._loaded is None:
                    if not beside:
                        self._make_room(self)
                    self._device.do(self._open, LOAD_WITHIN)
        except Exception as error:
            self.failure = str(error)
            _LOGGER.error("model %s cannot be loaded: %s", self.model.id, error)
            if isinstance(error, EngineError):
                raise
            raise CheckpointError(f"{self.model.folder.name}: {error}") from error
        finally:
            self._expected = False

    def unload(self) -> bool:
        """Free the memory, if no sentence is being spoken; whether it was done."""
        if not self._speaking.acquire(blocking=False):
            return False
        try:
            self._device.do(self._drop, _UNLOAD_WITHIN)
            return True
        except DeviceHung as error:
            _LOGGER.error("model %s stays in memory: %s", self.model.id, error)
            return False
        finally:
            self._speaking.release()

    def retire(self) -> None:
        """Free the memory for good, at once or when the sentence at hand is through."""
        self._retired = True
        if self.unload():
            self._device.close()

    def speaks(self, utterance: Utterance) -> bool:
        """Whether the model can speak now, and this is a person's voice in a language it knows."""
        meant = utterance.model in ("", self.model.id)
        able = self.state == "ready" or (meant and self.state == "unloaded")
        if not able or not (meant or self._stands_in(self.model.id)):
            return False
        if _general(utterance.language) not in LANGUAGES:
            return False
        return any(voice.id == utterance.voice for voice in self._cloned())

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence, piece by piece.

        Raises:
            TextError: the model cannot say this.
            PromptError: the voice's reference cannot serve.
            EngineError: the model failed, or is not there.
        """
        with self._speaking:
            try:
                self.used = monotonic()
                if self._loaded is None:
                    self.load()
                yield from self._device.each(lambda: self._speak(utterance, cancelled))
            except (TextError, PromptError):
                raise
            except Exception as error:
                self._failed(self.model.id, str(getattr(error, "code", "failed")))
                raise
            finally:
                self.used = monotonic()
                if self._retired:
                    self._device.do(self._drop, _UNLOAD_WITHIN)
                    self._device.close()

    def _speak(
        self, utterance: Utterance, cancelled: Cancelled, loaded: _Loaded | None = None
    ) -> Generator[AudioChunk, None, None]:
        voice = next((each for each in self._cloned() if utterance.voice in (each.id, "")), None)
        if voice is None:
            raise EngineError("the model has no voice to speak")
        if (loaded := loaded or self._loaded) is None:
            raise EngineError(f"{self.model.id} went out of memory")
        symbols = loaded.synthesizer.model.symbols
        language, normalize = _general(utterance.language), utterance.normalize
        sentences = phonemize(utterance.text, language, symbols, normalize=normalize)
        yield from loaded.synthesizer.speak(
            sentences,
            self._prompts.get(voice, utterance.style, loaded.enroller),
            utterance.sampling.params(utterance.speed, self.model.sampling),
            # A card draws tokens while the sound of those before is made.
            streaming=Streaming(eager=self.name == "tensorrt"),
            pause=0.0,  # between sentences the service pauses
            cancelled=cancelled,
        )

    def _open(self) -> None:
        on_card = self.name == CARD
        if not self._checked:
            # Weights that rotted on the disk would make noise, and be taken for a voice.
            ModelFolder.read(self.model.folder).check_hashes()
            self._checked = True
        # Engines are built by a process beside this one (`engine_builds.py`).
        options = {"build_missing": False} if on_card else {}
        backend = open_backend(self.name, self.model.folder, **options)
        try:
            bert = BertFeatures(backend, self.model.folder / TOKENIZER)
            loaded = _Loaded(backend, Enroller(backend, bert), Synthesizer(backend, bert))
            if on_card:
                self._warm_up(loaded)
        except BaseException:
            backend.close()
            raise
        self._loaded = loaded
        self.used = monotonic()
        self.failure = None

    def _warm_up(self, loaded: _Loaded) -> None:
        """A card's first sentence takes longest; nobody shall wait for it, or trip over it."""
        try:
            if isinstance(loaded.backend, WarmsUp):
                loaded.backend.warm_up()
            if self._cloned():
                for _ in self._speak(_WARM_UP, lambda: False, loaded):
                    pass
        except (TextError, PromptError, OutOfMemoryError) as error:
            _LOGGER.info("model %s is not warmed up: %s", self.model.id, error)

    def _drop(self) -> None:
        loaded, self._loaded = self._loaded, None
        self._prompts.clear()
        if loaded is not None:
            loaded.backend.close()
            _LOGGER.info("model %s is out of memory", self.model.id)

    def _cloned(self) -> list[Voice]:
        return [voice for voice in self._voices.usable() if voice.facts is not None]


def _general(language: str) -> str:
    return language.lower().replace("_", "-").split("-")[0]
