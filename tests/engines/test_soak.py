"""Hours of speaking in small: memory stays flat, a long text is spoken whole, errors pass."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
from engines.bert_features import BertFeatures
from engines.decoders import Streaming
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.synthesizer import Synthesizer
from engines.text import phonemize
from engines.text.types import PhonemizedText

PAGE = 4096
SOME = SamplingParams(seed=5)


@pytest.fixture
def synthesizer(tiny_model: Path, bert_features: BertFeatures) -> Synthesizer:
    return Synthesizer(OnnxRuntimeBackend(tiny_model, threads=1), bert_features)


def resident() -> float:
    """MiB of this process in memory."""
    gc.collect()
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * PAGE / 2**20


def speak_many(
    synthesizer: Synthesizer,
    voice: VoicePrompt,
    make_sentence: Callable[..., PhonemizedText],
    count: int,
) -> int:
    samples = 0
    for number in range(count):
        said = make_sentence(3 + number % 5, seed=number)
        params = SamplingParams(seed=number, top_k=3)
        for chunk in synthesizer.speak([said], voice, params, streaming=Streaming(), pause=0.0):
            samples += len(chunk.samples)
    return samples


def test_many_sentences_take_no_more_memory(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: Callable[..., PhonemizedText]
) -> None:
    # 2,000 were spoken once (docs/performance.md); these are what a test run has time for.
    assert speak_many(synthesizer, voice, make_sentence, 60) > 0
    before = resident()
    speak_many(synthesizer, voice, make_sentence, 120)
    assert resident() - before < 24


def test_five_thousand_characters_are_spoken(synthesizer: Synthesizer, voice: VoicePrompt) -> None:
    text = ("The door is open. " * 278)[:5000]
    sentences = phonemize(text, "en", synthesizer.model.symbols)
    chunks = list(synthesizer.speak(sentences, voice, SOME, pause=0.0))
    assert sum(chunk.last for chunk in chunks) == len(sentences)
    assert all(np.isfinite(chunk.samples).all() for chunk in chunks)
