"""The rung that clones: a converted GPT-SoVITS model, speaking the voices of this house."""

from __future__ import annotations

import io
import logging
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from engines.errors import EngineError, PromptError
from engines.model_folder import TOKENIZER, ModelFolder
from engines.prompt import closed_text
from engines.text import LANGUAGES, phonemize
from service.jobs import Utterance
from service.rung_worker import Bounds, Cancelled
from service.voice import Voice
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
PROMPTS_IN_MEMORY = 16
PATIENCE = 60.0  # seconds; a long sentence takes a CPU tens of them
# Slower than this, and sentence after sentence, is a machine that has other things to do.
BOUNDS = Bounds(first_audio=20.0, real_time_factor=6.0)


class ModelRung:
    """A converted model on the CPU.

    Until `load` is through it speaks no voice, so that another rung stands in meanwhile.

    Args:
        folder: what `python -m engines convert` wrote.

    Attributes:
        identity: changes with the model's weights.
        failure: why it could not be loaded, for a person.

    Raises:
        CheckpointError: the folder is not a whole model.
    """

    name = "onnxruntime"
    languages = tuple(LANGUAGES)
    patience = PATIENCE
    bounds = BOUNDS

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.identity = ModelFolder.read(folder).model.identity
        self.failure: str | None = None
        self._voices: VoiceStore | None = None
        self._synthesizer: Synthesizer | None = None
        self._enroller: Enroller | None = None
        self._prompts: OrderedDict[tuple[str, str, str | None], VoicePrompt] = OrderedDict()

    @property
    def ready(self) -> bool:
        """Whether it is loaded."""
        return self._synthesizer is not None

    @property
    def state(self) -> dict[str, Any]:
        """What health tells of the model."""
        waiting = "failed" if self.failure else "loading"
        return {
            "name": self._folder.name,
            "state": "ready" if self.ready else waiting,
            "reason": self.failure,
        }

    def load(self, voices: VoiceStore) -> None:
        """Load the networks; takes seconds. What fails is kept in `failure` and logged.

        Args:
            voices: the voices that it is to speak.
        """
        self._voices = voices
        try:
            backend = open_backend(self.name, self._folder)
            bert = BertFeatures(backend, self._folder / TOKENIZER)
            self._enroller = Enroller(backend, bert)
            self._synthesizer = Synthesizer(backend, bert)
        except EngineError as error:
            self.failure = str(error)
            _LOGGER.error("model %s cannot be loaded: %s", self._folder.name, error)

    def speaks(self, utterance: Utterance) -> bool:
        """Whether the model is loaded and this is a person's voice, in a language it knows."""
        if self._synthesizer is None or _general(utterance.language) not in LANGUAGES:
            return False
        return any(voice.id == utterance.voice for voice in self._cloned())

    def speak(self, utterance: Utterance, cancelled: Cancelled) -> Iterator[AudioChunk]:
        """Speak one sentence, piece by piece.

        Raises:
            TextError: the model cannot say this.
            PromptError: the voice's reference cannot serve.
            EngineError: the model failed, or is not there.
        """
        voice = next((each for each in self._cloned() if utterance.voice in (each.id, "")), None)
        if self._synthesizer is None or voice is None:
            raise EngineError("the model is not loaded, or has no voice to speak")
        symbols = self._synthesizer.model.symbols
        sentences = phonemize(utterance.text, _general(utterance.language), symbols)
        yield from self._synthesizer.speak(
            sentences,
            self._prompt(voice, utterance.style),
            utterance.sampling.params(utterance.speed),
            streaming=Streaming(),
            pause=0.0,  # between sentences the service pauses
            cancelled=cancelled,
        )

    def _cloned(self) -> list[Voice]:
        voices = self._voices.usable() if self._voices is not None else []
        return [voice for voice in voices if voice.facts is not None]

    def _prompt(self, voice: Voice, style: str | None) -> VoicePrompt:
        """The voice as the model takes it: from memory, from the disk, or made now.

        A style that was deleted since the request came leaves it to the voice's main reference.
        """
        style = style if style in voice.styles else None
        key = (voice.id, voice.revision, style)
        if key in self._prompts:
            self._prompts.move_to_end(key)
            return self._prompts[key]
        prompt = self._stored(voice, style) or self._made(voice, style)
        self._prompts[key] = prompt
        while len(self._prompts) > PROMPTS_IN_MEMORY:
            self._prompts.popitem(last=False)
        return prompt

    def _stored(self, voice: Voice, style: str | None) -> VoicePrompt | None:
        assert self._voices is not None
        path = self._voices.prompt(voice, self.identity, style)
        if path is None:
            return None
        try:
            return VoicePrompt.load(path)
        except PromptError as error:
            _LOGGER.warning("the prompt of voice %s is made anew: %s", voice.id, error)
            return None

    def _made(self, voice: Voice, style: str | None) -> VoicePrompt:
        assert self._voices is not None
        assert self._enroller is not None
        assert self._synthesizer is not None
        assert voice.facts is not None
        said = voice.facts.style(style) or voice.facts
        recording = load_recording(io.BytesIO(self._voices.reference(voice.id, style)))
        transcript = closed_text(said.transcript, said.language)
        text = phonemize(transcript, said.language, self._synthesizer.model.symbols)
        prompt = self._enroller.enrol([recording], text)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "prompt.npz"
            prompt.save(path)
            self._voices.keep_prompt(voice, self.identity, path.read_bytes(), style)
        return prompt


def _general(language: str) -> str:
    return language.lower().replace("_", "-").split("-")[0]
