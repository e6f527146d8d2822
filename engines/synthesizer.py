"""Sentences and a voice in, audio out: what `engines` is for."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from engines.audio import AudioChunk
from engines.backends import Backend
from engines.bert_features import BertFeatures
from engines.decoders import EagerSpeech, Streaming, Utterance, VitsDecoder
from engines.errors import PromptError, TextError
from engines.graphs import PHONES
from engines.prompt import VoicePrompt
from engines.sampling import Floats, SamplingParams
from engines.semantic import Sentence, Stream, open_decoder, speak_in_order
from engines.text.types import PhonemizedText

PAUSE = 0.3
"""Seconds of silence after a sentence, the original's."""
RAMBLING_BASE, RAMBLING_PER_PHONE = 50, 10
"""Tokens after which a sentence is taken for rambling: 2 s, and 0.4 s for each of its phones.

The original goes on for a minute when the network misses its end.
"""

_LOG = logging.getLogger(__name__)


class Synthesizer:
    """Speaks sentences in a voice.

    A sentence's audio depends on the sentence, the voice and the parameters (with a definite seed)
    alone: not on the sentences around it, nor on how many are spoken side by side.

    Args:
        backend: runs the model.
        bert: features of sentences.
        slots: how many sentences are read to tokens side by side.
    """

    def __init__(self, backend: Backend, bert: BertFeatures, slots: int = 1) -> None:
        self.model = backend.model
        self._bert = bert
        self._semantic = open_decoder(backend, slots)
        self._vits = VitsDecoder(backend)

    def speak(
        self,
        sentences: Iterable[PhonemizedText],
        prompt: VoicePrompt,
        params: SamplingParams | None = None,
        *,
        streaming: Streaming | None = None,
        pause: float = PAUSE,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[AudioChunk]:
        """Audio of the sentences, in their order.

        Args:
            sentences: taken one by one as they can be started.
            prompt: the voice.
            params: how to speak; by default upstream's.
            streaming: give a sentence piece by piece; by default each sentence is one chunk.
            pause: seconds of silence after each sentence, if its author asked for no longer one.
            cancelled: asked between tokens and between chunks; once true nothing more comes.

        Yields:
            Chunks; the last of each sentence says so.

        Raises:
            TextError: there is no sentence, or one cannot be spoken by this model.
            PromptError: the voice was made for another model.
            DeviceError: the device failed.
        """
        if prompt.model != self.model.identity:
            raise PromptError(
                f"voice: was made with model {prompt.model}, this is {self.model.identity}"
            )
        definite = (params or SamplingParams()).with_seed()
        rate = self.model.sample_rate
        sentences = iter(sentences)
        opening = next(sentences, None)
        if opening is not None and opening.pause and not opening.phone_ids:
            # A pause that the author asked for before the first word; there is none to hang it on.
            yield AudioChunk(np.zeros(round(opening.pause * rate), np.float32), rate, 0, False)
        elif opening is not None:
            sentences = itertools.chain([opening], sentences)
        waiting: list[PhonemizedText] = []

        def prepared() -> Iterator[Sentence]:
            for sentence in sentences:
                ready = self._prepare(sentence, prompt, definite)
                waiting.append(sentence)
                yield ready

        number = 0
        voice = _SentenceVoice(self._vits, prompt, definite, streaming)
        for stream in speak_in_order(self._semantic, prepared(), cancelled):
            said = waiting[0]
            for samples, last in voice.say(said, stream):
                if cancelled():
                    return
                silence = round(max(pause, said.pause) * rate) if last else 0
                samples = np.concatenate([samples, np.zeros(silence, np.float32)])
                yield AudioChunk(samples, rate, number, last)
            if stream.cut:
                _LOG.warning("cut after %d tokens: %r", len(stream.tokens), said.text[:80])
            if stream.finished:
                del waiting[0]
                number += 1
        if not number and not cancelled():
            raise TextError("text: there is nothing to speak")

    def _prepare(
        self, sentence: PhonemizedText, prompt: VoicePrompt, params: SamplingParams
    ) -> Sentence:
        phones = np.concatenate([prompt.phone_ids, np.array(sentence.phone_ids, np.int64)])
        if not sentence.phone_ids:
            raise TextError(f"text: nothing in {sentence.text!r} can be spoken")
        if len(phones) > PHONES.max:
            raise TextError(
                f"text: {len(phones)} phones with the reference's, at most {PHONES.max} fit: "
                f"{sentence.text[:40]!r}"
            )
        if unknown := [i for i in phones.tolist() if not 0 <= i < self.model.phones]:
            raise TextError(
                f"phone_ids: {unknown[0]} is unknown to this model, it knows {self.model.phones}"
            )
        bert = np.concatenate([prompt.bert, self._bert(sentence)], axis=1)
        limit = RAMBLING_BASE + RAMBLING_PER_PHONE * len(sentence.phone_ids)
        return Sentence(phones, bert, prompt.semantic_tokens, params, limit)


class _SentenceVoice:
    """Turns the stream that is spoken now into samples, as far as its tokens go."""

    def __init__(
        self,
        decoder: VitsDecoder,
        prompt: VoicePrompt,
        params: SamplingParams,
        streaming: Streaming | None,
    ) -> None:
        self._decoder = decoder
        self._prompt = prompt
        self._params = params
        self._streaming = streaming
        self._eager: EagerSpeech | None = None

    def say(self, sentence: PhonemizedText, stream: Stream) -> Iterator[tuple[Floats, bool]]:
        """New samples of the stream, and whether they are its last."""
        eager = self._streaming is not None and self._streaming.eager
        if not stream.finished and not eager:
            return
        phones = np.array(sentence.phone_ids, np.int64)
        utterance = Utterance(phones, self._prompt, self._params)
        if self._streaming is not None and eager:
            self._eager = self._eager or EagerSpeech(self._decoder, utterance, self._streaming)
            samples = self._eager.push(stream.tokens, stream.finished)
            if len(samples) or stream.finished:
                yield samples, stream.finished
            self._eager = None if stream.finished else self._eager
            return
        tokens = np.array(stream.tokens, np.int64)
        if self._streaming is None:
            yield self._decoder.whole(tokens, utterance), True
            return
        pieces = self._decoder.pieces(tokens, utterance, self._streaming)
        held = next(pieces)
        for piece in pieces:
            yield held, False
            held = piece
        yield held, True
