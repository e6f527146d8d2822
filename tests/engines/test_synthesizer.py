from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from engines.audio import AudioChunk
from engines.backends.torch_backend import TorchBackend
from engines.bert_features import BertFeatures
from engines.decoders import (
    FLOW_CONTEXT,
    GENERATOR_CONTEXT,
    EagerSpeech,
    Streaming,
    Utterance,
    VitsDecoder,
)
from engines.errors import PromptError, TextError
from engines.graphs import graphs
from engines.prompt import VoicePrompt
from engines.sampling import Floats, SamplingParams
from engines.synthesizer import Synthesizer
from engines.text.types import PhonemizedText

SEEDED = SamplingParams(seed=11)
MakeSentence = Callable[..., PhonemizedText]


@pytest.fixture(scope="module")
def synthesizer(tiny: TorchBackend, bert_features: BertFeatures) -> Synthesizer:
    return Synthesizer(tiny, bert_features, slots=2)


def samples(chunks: Iterator[AudioChunk]) -> Floats:
    return np.concatenate([chunk.samples for chunk in chunks])


def test_a_batch_equals_its_items_one_by_one(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    sentences = [make_sentence(phones, seed) for seed, phones in enumerate((14, 30, 8))]
    chunks = list(synthesizer.speak(sentences, voice, SEEDED))
    assert [(chunk.sentence, chunk.last) for chunk in chunks] == [(0, True), (1, True), (2, True)]
    for sentence, chunk in zip(sentences, chunks, strict=True):
        alone = samples(synthesizer.speak([sentence], voice, SEEDED))
        assert np.array_equal(chunk.samples, alone)


def test_the_seed_decides(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    def spoken(seed: int) -> Floats:
        return samples(synthesizer.speak([make_sentence(9)], voice, SamplingParams(seed=seed)))

    assert np.array_equal(spoken(1), spoken(1))
    assert not np.array_equal(spoken(1), spoken(2))
    assert not np.array_equal(spoken(-1), spoken(-1))


def test_silence_follows_each_sentence(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    sentences = [make_sentence(9, 1), make_sentence(9, 1, pause=0.5)]
    plain, asked = synthesizer.speak(sentences, voice, SEEDED, pause=0.25)
    speech = samples(synthesizer.speak(sentences[:1], voice, SEEDED, pause=0.0))
    assert len(speech) % 1280 == 0
    assert np.array_equal(plain.samples, np.append(speech, np.zeros(8_000, np.float32)))
    assert np.array_equal(asked.samples, np.append(speech, np.zeros(16_000, np.float32)))


def test_a_pause_before_the_first_word_is_kept(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    pause = PhonemizedText("", "en", (), (), 0.5)
    silence, speech = synthesizer.speak([pause, make_sentence(9, 1)], voice, SEEDED)
    assert (len(silence.samples), silence.samples.any()) == (16_000, False)
    assert (silence.sentence, silence.last) == (speech.sentence, False)
    alone = next(synthesizer.speak([make_sentence(9, 1)], voice, SEEDED))
    assert np.array_equal(speech.samples, alone.samples)


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
@pytest.mark.parametrize("chunk_tokens", [1, 5, 100])
def test_pieces_are_the_whole(
    synthesizer: Synthesizer,
    voice: VoicePrompt,
    make_sentence: MakeSentence,
    speed: float,
    chunk_tokens: int,
) -> None:
    params = replace(SEEDED, speed=speed)
    whole = samples(synthesizer.speak([make_sentence(9)], voice, params))
    pieces = list(
        synthesizer.speak([make_sentence(9)], voice, params, streaming=Streaming(chunk_tokens))
    )
    joined = samples(iter(pieces))
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert joined.shape == whole.shape
    np.testing.assert_allclose(joined, whole, atol=1e-5)
    assert np.abs(whole).max() > 0.1


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_eager_pieces_are_nearly_the_whole(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence, speed: float
) -> None:
    params = replace(SEEDED, speed=speed)
    streaming = Streaming(chunk_tokens=4, eager=True, overlap_tokens=2, lookahead_tokens=2)
    sentences = [make_sentence(9), make_sentence(14, 1)]
    whole = samples(synthesizer.speak(sentences, voice, params))
    pieces = list(synthesizer.speak(sentences, voice, params, streaming=streaming))
    joined = samples(iter(pieces))
    assert [piece.sentence for piece in pieces] == sorted(piece.sentence for piece in pieces)
    assert sum(piece.last for piece in pieces) == 2
    assert 0 < len(pieces[0].samples) <= int(4 * 2 / speed) * 640
    assert joined.shape == whole.shape
    # The encoder hears the end of a sentence at its beginning, so equality is not to be had.
    error, level = np.sqrt(np.mean((joined - whole) ** 2)), np.sqrt(np.mean(whole**2))
    assert error < 0.1 * level


def test_the_last_eager_piece_is_exact_behind_its_fade(
    tiny: TorchBackend, voice: VoicePrompt
) -> None:
    decoder = VitsDecoder(tiny)
    random = np.random.default_rng(5)
    tokens, phones = random.integers(0, 1024, 70), random.integers(1, 700, 9)
    utterance = Utterance(phones, voice, SEEDED)
    speech = EagerSpeech(decoder, utterance, Streaming(chunk_tokens=50, eager=True))
    first = speech.push(tokens[:60].tolist(), False)
    last = speech.push(tokens.tolist(), True)
    whole = decoder.whole(tokens, utterance)
    assert len(first) == 55 * 1280
    np.testing.assert_allclose(last[2 * 1280 :], whole[57 * 1280 :], atol=1e-5)


def test_the_contexts_are_as_far_as_a_frame_is_heard(tiny: TorchBackend) -> None:
    random = np.random.default_rng(0)
    latent = random.normal(size=(1, 8, 120)).astype(np.float32)
    changed = latent.copy()
    changed[:, :, 60] += 100
    quiet = dict.fromkeys(("log_deviation", "noise"), np.zeros_like(latent))

    def reach(graph: str, style: str, width: int, output: str, rows: int) -> int:
        derived = {style: random.normal(0, 0.3, (1, width, 1)).astype(np.float32)}
        wanted = {tensor.name for tensor in graphs(tiny.model)[graph].inputs}
        sounds = []
        for array in (latent, changed):
            known = {"latent": array, "mean": array, **quiet, **derived}
            made = tiny.load(graph).run({name: known[name] for name in wanted})
            sounds.append(made[output].reshape(rows, 120, -1))
        before, after = sounds
        return int(np.abs(np.flatnonzero((before != after).any(axis=(0, 2))) - 60).max())

    assert reach("vits_flow", "flow_style", 6144, "flowed", 8) == FLOW_CONTEXT
    assert reach("vits_generate", "voice_style", 64, "audio", 1) in (
        GENERATOR_CONTEXT - 1,
        GENERATOR_CONTEXT,
    )


def test_the_voice_comes_before_the_sentence(
    tiny: TorchBackend,
    voice: VoicePrompt,
    make_sentence: MakeSentence,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[dict[str, Any]] = []
    session = tiny.load("t2s_prefill")

    def run(feeds: dict[str, Any], keep: Any = ()) -> dict[str, Any]:
        read.append(dict(feeds))
        return session.run(feeds, keep)

    sessions = {"t2s_prefill": SimpleNamespace(run=run)}
    load = tiny.load
    monkeypatch.setattr(tiny, "load", lambda graph: sessions.get(graph) or load(graph))
    own = np.full((1024, 9), 0.5, np.float32)
    theirs = np.full(voice.bert.shape, 0.25, np.float32)
    features: Any = lambda sentence: own  # noqa: E731
    sentence = make_sentence(9)
    list(Synthesizer(tiny, features).speak([sentence], replace(voice, bert=theirs), SEEDED))
    [feeds] = read
    assert feeds["phones"][0].tolist() == [*voice.phone_ids, *sentence.phone_ids]
    assert feeds["prompt"][0].tolist() == voice.semantic_tokens.tolist()
    np.testing.assert_array_equal(feeds["bert"][0], np.concatenate([theirs, own], axis=1))


@pytest.mark.parametrize("eager", [False, True])
def test_cancelling_stops_at_once_and_harms_nobody(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence, eager: bool
) -> None:
    cancelled = threading.Event()
    streaming = Streaming(chunk_tokens=3, eager=eager)
    sentences = [make_sentence(9, seed) for seed in range(3)]
    before = samples(synthesizer.speak(sentences[:1], voice, SEEDED))
    chunks = synthesizer.speak(
        sentences, voice, SEEDED, streaming=streaming, cancelled=cancelled.is_set
    )
    assert not next(chunks).last
    cancelled.set()
    assert list(chunks) == []
    after = samples(synthesizer.speak(sentences[:1], voice, SEEDED))
    assert np.array_equal(before, after)


def test_a_listener_who_leaves_frees_the_slots(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    for _ in range(3):
        chunks = synthesizer.speak([make_sentence(9, s) for s in range(3)], voice, SEEDED)
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
    assert len(list(synthesizer.speak([make_sentence(9)], voice, SEEDED))) == 1


def with_phones(sentence: PhonemizedText, *phones: int) -> PhonemizedText:
    run = replace(sentence.runs[0], phones=("AH0",) * len(phones))
    return replace(sentence, phone_ids=phones, runs=(run,))


@pytest.mark.parametrize(
    ("phones", "message"),
    [
        ((), "nothing in 'sentence 0' can be spoken"),
        ((5, 732), "phone_ids: 732 is unknown to this model, it knows 732"),
        ((5, -1), "phone_ids: -1 is unknown"),
        ((5,) * 2000, "2012 phones with the reference's, at most 1024 fit"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    synthesizer: Synthesizer,
    voice: VoicePrompt,
    make_sentence: MakeSentence,
    phones: tuple[int, ...],
    message: str,
) -> None:
    bad = with_phones(make_sentence(3), *phones)
    with pytest.raises(TextError, match=message) as caught:
        list(synthesizer.speak([make_sentence(9), bad], voice, SEEDED))
    assert caught.value.code == "bad_text"
    assert len(list(synthesizer.speak([make_sentence(9)], voice, SEEDED))) == 1


def test_no_sentence_is_an_error(synthesizer: Synthesizer, voice: VoicePrompt) -> None:
    with pytest.raises(TextError, match="nothing to speak"):
        list(synthesizer.speak([], voice))


def test_a_voice_of_another_model_is_refused(
    synthesizer: Synthesizer, voice: VoicePrompt, make_sentence: MakeSentence
) -> None:
    with pytest.raises(PromptError, match="made with model other"):
        list(synthesizer.speak([make_sentence(9)], replace(voice, model="other")))
