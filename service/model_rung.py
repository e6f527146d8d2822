"""A rung that clones: one converted GPT-SoVITS model, speaking the voices of this house."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from engines import (
    AudioChunk,
    BertFeatures,
    Enroller,
    Streaming,
    Synthesizer,
    VoicePrompt,
    load_recording,
    open_backend,
)
from engines.backends import Backend
from engines.errors import CheckpointError, EngineError, PromptError, TextError
from engines.model_folder import TOKENIZER
from engines.prompt import closed_text
from engines.text import LANGUAGES, phonemize
from service.installed_model import InstalledModel
from service.jobs import Utterance
from service.rung_worker import Bounds, Cancelled
from service.voice import StorageFailed, Voice
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
PROMPTS_IN_MEMORY = 16
PATIENCE = 60.0  # seconds; a long sentence takes a CPU tens of them
# Slower than this, and sentence after sentence, is a machine that has other things to do.
BOUNDS = Bounds(first_audio=20.0, real_time_factor=6.0)


@dataclass(slots=True)
class _Loaded:
    """The networks in memory."""

    backend: Backend
    enroller: Enroller
    synthesizer: Synthesizer


class ModelRung:
    """One installed model.

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
        failure: why it could not be loaded, for a person.
        used: `time.monotonic()` of its latest sentence, or of its loading.
    """

    languages = tuple(LANGUAGES)
    patience = PATIENCE
    bounds = BOUNDS

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
        self.failure: str | None = None
        self.used = monotonic()
        self._voices = voices
        self._stands_in = stands_in
        self._make_room = make_room
        self._failed = failed
        self._loaded: _Loaded | None = None
        self._expected = False  # somebody loads it, or is about to
        self._retired = False
        self._loading = threading.Lock()
        self._speaking = threading.Lock()
        self._prompts: OrderedDict[tuple[str, str, str | None], VoicePrompt] = OrderedDict()

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
        """How it is: ready (in memory), loading, unloaded (the next sentence loads it), failed."""
        if self._loaded is not None:
            return "ready"
        if self._expected:
            return "loading"
        return "failed" if self.failure else "unloaded"

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
        self._expected = True
        try:
            with self._loading:
                if self._loaded is None:
                    if not beside:
                        self._make_room(self)
                    self._loaded = self._open()
                    self.used = monotonic()
                self.failure = None
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
            self._drop()
            return True
        finally:
            self._speaking.release()

    def retire(self) -> None:
        """Free the memory for good, at once or when the sentence at hand is through."""
        self._retired = True
        self.unload()

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
                yield from self._speak(utterance, cancelled)
            except (TextError, PromptError):
                raise
            except Exception as error:
                self._failed(self.model.id, str(getattr(error, "code", "failed")))
                raise
            finally:
                self.used = monotonic()
                if self._retired:
                    self._drop()

    def _speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        voice = next((each for each in self._cloned() if utterance.voice in (each.id, "")), None)
        if voice is None:
            raise EngineError("the model has no voice to speak")
        if self._loaded is None:
            self.load()
        loaded = self._loaded
        assert loaded is not None
        symbols = loaded.synthesizer.model.symbols
        language, normalize = _general(utterance.language), utterance.normalize
        sentences = phonemize(utterance.text, language, symbols, normalize=normalize)
        yield from loaded.synthesizer.speak(
            sentences,
            self._prompt(voice, utterance.style, loaded),
            utterance.sampling.params(utterance.speed),
            # A card draws tokens while the sound of those before is made.
            streaming=Streaming(eager=self.name == "tensorrt"),
            pause=0.0,  # between sentences the service pauses
            cancelled=cancelled,
        )

    def _open(self) -> _Loaded:
        backend = open_backend(self.name, self.model.folder)
        bert = BertFeatures(backend, self.model.folder / TOKENIZER)
        return _Loaded(backend, Enroller(backend, bert), Synthesizer(backend, bert))

    def _drop(self) -> None:
        loaded, self._loaded = self._loaded, None
        self._prompts.clear()
        if loaded is not None:
            loaded.backend.close()
            _LOGGER.info("model %s is out of memory", self.model.id)

    def _cloned(self) -> list[Voice]:
        return [voice for voice in self._voices.usable() if voice.facts is not None]

    def _prompt(self, voice: Voice, style: str | None, loaded: _Loaded) -> VoicePrompt:
        """The voice as the model takes it: from memory, from the disk, or made now.

        A style that was deleted since the request came leaves it to the voice's main reference.
        """
        style = style if style in voice.styles else None
        key = (voice.id, voice.source, style)
        if key in self._prompts:
            self._prompts.move_to_end(key)
            return self._prompts[key]
        prompt = self._stored(voice, style) or self._made(voice, style, loaded)
        self._prompts[key] = prompt
        while len(self._prompts) > PROMPTS_IN_MEMORY:
            self._prompts.popitem(last=False)
        return prompt

    def _stored(self, voice: Voice, style: str | None) -> VoicePrompt | None:
        path = self._voices.prompt(voice, self.model.facts.identity, style)
        if path is None:
            return None
        try:
            return VoicePrompt.load(path)
        except PromptError as error:
            _LOGGER.warning("the prompt of voice %s is made anew: %s", voice.id, error)
            return None

    def _made(self, voice: Voice, style: str | None, loaded: _Loaded) -> VoicePrompt:
        assert voice.facts is not None
        said = voice.facts.style(style) or voice.facts
        recording = load_recording(io.BytesIO(self._voices.reference(voice.id, style)))
        transcript = closed_text(said.transcript, said.language)
        text = phonemize(transcript, said.language, loaded.synthesizer.model.symbols)
        prompt = loaded.enroller.enrol([recording], text)
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, StorageFailed):
            path = Path(folder) / "prompt.npz"
            prompt.save(path)
            self._voices.keep_prompt(voice, self.model.facts.identity, path.read_bytes(), style)
        return prompt


def _general(language: str) -> str:
    return language.lower().replace("_", "-").split("-")[0]
