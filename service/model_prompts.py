"""The voices of this house as one model takes them: from memory, from the disk, or made now."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections import OrderedDict
from pathlib import Path

from engines import Enroller, VoicePrompt, load_recording
from engines.errors import PromptError
from engines.graphs import ModelFacts
from engines.prompt import closed_text
from engines.text import phonemize
from service.voice import StorageFailed, Voice
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
PROMPTS_IN_MEMORY = 16


class ModelPrompts:
    """What conditions a model on a voice.

    Args:
        voices: the voices.
        model: the model.
    """

    def __init__(self, voices: VoiceStore, model: ModelFacts) -> None:
        self._voices = voices
        self._model = model
        self._known: OrderedDict[tuple[str, str, str | None], VoicePrompt] = OrderedDict()

    def get(self, voice: Voice, style: str | None, enroller: Enroller) -> VoicePrompt:
        """A voice's prompt.

        A style that was deleted since the request came leaves it to the voice's main reference.

        Raises:
            PromptError: the reference cannot serve.
        """
        style = style if style in voice.styles else None
        key = (voice.id, voice.source, style)
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        prompt = self._stored(voice, style) or self._made(voice, style, enroller)
        self._known[key] = prompt
        while len(self._known) > PROMPTS_IN_MEMORY:
            self._known.popitem(last=False)
        return prompt

    def clear(self) -> None:
        """Leave the memory."""
        self._known.clear()

    def _stored(self, voice: Voice, style: str | None) -> VoicePrompt | None:
        path = self._voices.prompt(voice, self._model.identity, style)
        if path is None:
            return None
        try:
            return VoicePrompt.load(path)
        except PromptError as error:
            _LOGGER.warning("the prompt of voice %s is made anew: %s", voice.id, error)
            return None

    def _made(self, voice: Voice, style: str | None, enroller: Enroller) -> VoicePrompt:
        assert voice.facts is not None
        said = voice.facts.style(style) or voice.facts
        recording = load_recording(io.BytesIO(self._voices.reference(voice.id, style)))
        transcript = closed_text(said.transcript, said.language)
        text = phonemize(transcript, said.language, self._model.symbols)
        prompt = enroller.enrol([recording], text)
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError, StorageFailed):
            path = Path(folder) / "prompt.npz"
            prompt.save(path)
            self._voices.keep_prompt(voice, self._model.identity, path.read_bytes(), style)
        return prompt
