"""The sentences and sounds that PyTorch and TensorRT are compared on; numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from engines.backends import Backend
from engines.decoders import Utterance
from engines.graphs import ModelFacts
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.semantic import SemanticDecoder, Sentence, TokenDecoder, speak_in_order

SENTENCES, GREEDY_SLOTS, PHONES, PROMPT, TOKENS, SPOKEN = 40, 8, 80, 100, 100, 4


def sentence(model: ModelFacts, seed: int, tokens: int = TOKENS) -> Sentence:
    """A random sentence whose likeliest tokens are drawn."""
    random = np.random.default_rng(seed)
    return Sentence(
        random.integers(0, model.phones, PHONES),
        random.standard_normal((model.bert_width, PHONES)).astype(np.float32) / 2,
        random.integers(0, model.codes, PROMPT),
        SamplingParams(seed=seed, temperature=0.0),
        tokens,
    )


def greedy_tokens(backend: Backend, slots: int, decoder: TokenDecoder | None = None) -> Any:
    """The 40 sentences' tokens [40, 100], -1 behind an end."""
    given = [sentence(backend.model, seed) for seed in range(SENTENCES)]
    found = np.full((SENTENCES, TOKENS), -1)
    number = 0
    for stream in speak_in_order(decoder or SemanticDecoder(backend, slots), given):
        if stream.finished:
            found[number, : len(stream.tokens)] = stream.tokens[:TOKENS]
            number += 1
    return found


def voice_of(backend: Backend) -> VoicePrompt:
    """A random voice, with the styles that this backend derives from it."""
    model, random = backend.model, np.random.default_rng(1)
    style = random.normal(0, 0.3, (1, model.style, 1)).astype(np.float32)
    return VoicePrompt(
        semantic_tokens=random.integers(0, model.codes, PROMPT),
        phone_ids=random.integers(0, model.phones, PHONES // 2),
        bert=np.zeros((model.bert_width, PHONES // 2), np.float32),
        style=style,
        model=model.identity,
        **backend.load("condition").run({"style": style}),
    )


def utterance_of(model: ModelFacts, voice: VoicePrompt, seed: int) -> tuple[Any, Utterance]:
    """Random tokens, and how they are to be said."""
    random = np.random.default_rng(seed)
    phones = random.integers(0, model.phones, PHONES // 2)
    return random.integers(0, model.codes, TOKENS), Utterance(
        phones, voice, SamplingParams(seed=seed)
    )
