"""The decode loop against a plain recomputation of the whole sequence for every token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from engines.backends.torch_backend import TorchBackend
from engines.checkpoint import load_t2s
from engines.golden import Folder
from engines.networks import t2s
from engines.sampling import SamplingParams, exponential_noise, sample
from engines.semantic import CACHE_STEP, SemanticDecoder, Sentence, Stream, speak_in_order

GREEDY = SamplingParams(temperature=0.0, seed=0)


def sentence(phones: int, seed: int, params: SamplingParams | None = None) -> Sentence:
    random = np.random.default_rng(seed)
    return Sentence(
        phone_ids=random.integers(1, 700, phones),
        bert=random.normal(size=(1024, phones)).astype(np.float32),
        prompt=random.integers(0, 1024, 30),
        params=params or SamplingParams(seed=seed),
    )


def tokens_of(decoder: SemanticDecoder, sentences: list[Sentence]) -> list[list[int]]:
    streams = speak_in_order(decoder, sentences)
    return [stream.tokens for stream in streams if stream.finished]


@pytest.fixture(scope="module")
def network(golden: Folder) -> t2s.T2S:
    checkpoint = load_t2s(golden.checkpoint("s1_pipe"))
    return t2s.load(checkpoint.config, checkpoint.weights)


def recomputed(network: t2s.T2S, spoken: Sentence, count: int) -> list[int]:
    """The first tokens of a sentence, without a cache."""
    tokens: list[int] = []
    with torch.inference_mode():
        for step in range(count):
            heard = np.concatenate([spoken.prompt, np.array(tokens, np.int64)])
            logits, _, _ = network.prefill(
                torch.from_numpy(spoken.phone_ids)[None],
                torch.from_numpy(spoken.bert)[None],
                torch.from_numpy(heard)[None],
            )
            noise = exponential_noise(spoken.params.seed, step, logits.shape[1])
            token, _ = sample(logits[0].numpy(), heard, step, spoken.params, noise)
            tokens.append(token)
    return tokens


@pytest.mark.parametrize("params", [GREEDY, SamplingParams(seed=7, top_k=40)])
def test_a_step_equals_reading_everything_again(
    tiny: TorchBackend, network: t2s.T2S, params: SamplingParams
) -> None:
    spoken = sentence(20, 1, params)
    [tokens] = tokens_of(SemanticDecoder(tiny), [spoken])
    assert tokens == recomputed(network, spoken, len(tokens))


def test_neighbours_do_not_matter(tiny: TorchBackend) -> None:
    sentences = [sentence(phones, seed) for seed, phones in enumerate((12, 40, 8, 25, 31, 5))]
    decoder = SemanticDecoder(tiny, slots=3)
    together = tokens_of(decoder, sentences)
    assert together == [tokens_of(decoder, [one])[0] for one in sentences]
    assert together == tokens_of(SemanticDecoder(tiny, slots=2), sentences)
    assert len(set(map(tuple, together))) == len(sentences)


def test_a_sentence_may_enter_while_another_runs(tiny: TorchBackend) -> None:
    decoder = SemanticDecoder(tiny, slots=2)
    first = decoder.admit(sentence(20, 1))
    for _ in range(5):
        decoder.step()
    second = decoder.admit(sentence(33, 2))
    while decoder.running:
        decoder.step()
    alone = tokens_of(SemanticDecoder(tiny), [sentence(20, 1), sentence(33, 2)])
    assert [first.tokens, second.tokens] == alone


def test_the_cache_grows_while_sentences_run(tiny: TorchBackend) -> None:
    nearly_full = CACHE_STEP - 30 - 5
    decoder = SemanticDecoder(tiny, slots=2)
    long = sentence(nearly_full, 3)
    short = sentence(9, 4)
    assert tokens_of(decoder, [long, short]) == [
        tokens_of(SemanticDecoder(tiny), [one])[0] for one in (long, short)
    ]


def test_a_sentence_is_cut_at_the_longest_speech(
    tiny: TorchBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    [whole] = tokens_of(SemanticDecoder(tiny), [sentence(20, 1)])
    monkeypatch.setattr(tiny, "model", replace(tiny.model, max_tokens=len(whole) - 2))
    streams = list(speak_in_order(SemanticDecoder(tiny), [sentence(20, 1)]))
    assert streams[-1].tokens == whole[:-2]
    assert (streams[-1].finished, streams[-1].cut) == (True, True)


def test_a_sentence_may_have_its_own_limit(tiny: TorchBackend) -> None:
    [whole] = tokens_of(SemanticDecoder(tiny), [sentence(20, 1)])
    [short] = tokens_of(SemanticDecoder(tiny), [replace(sentence(20, 1), limit=12)])
    [longer] = tokens_of(SemanticDecoder(tiny), [replace(sentence(20, 1), limit=10_000)])
    assert (short, longer) == (whole[:12], whole)


def test_the_end_token_is_never_kept(tiny: TorchBackend) -> None:
    end = tiny.model.vocabulary - 1

    def ends_at_once(step: int, size: int) -> Any:
        return np.append(np.ones(size - 1, np.float32), np.float32(1e-30))

    spoken = sentence(20, 1, SamplingParams(seed=0, top_k=1025))
    ending = Sentence(
        spoken.phone_ids, spoken.bert, spoken.prompt, spoken.params, noise=ends_at_once
    )
    [stream] = [s for s in speak_in_order(SemanticDecoder(tiny), [ending]) if s.finished]
    assert len(stream.tokens) == 11
    assert end not in stream.tokens
    assert not stream.cut


def test_no_slot_is_free_twice(tiny: TorchBackend) -> None:
    decoder = SemanticDecoder(tiny, slots=1)
    decoder.admit(sentence(5, 1))
    with pytest.raises(ValueError, match="not in list"):
        decoder.admit(sentence(5, 2))


@pytest.mark.parametrize("after", [0, 1, 4])
def test_cancelling_frees_the_slots_at_once(tiny: TorchBackend, after: int) -> None:
    decoder = SemanticDecoder(tiny, slots=2)
    seen: list[Stream] = []
    cancelled: Callable[[], bool] = lambda: len(seen) > after  # noqa: E731
    for stream in speak_in_order(decoder, [sentence(20, s) for s in range(4)], cancelled):
        seen.append(stream)
    assert len(seen) == after + 1
    assert decoder.free == 2


def test_no_prompt_speaks_too(tiny: TorchBackend, network: t2s.T2S) -> None:
    spoken = sentence(20, 1, GREEDY)
    bare = Sentence(spoken.phone_ids, spoken.bert, np.zeros(0, np.int64), GREEDY)
    [tokens] = tokens_of(SemanticDecoder(tiny), [bare])
    assert tokens == recomputed(network, bare, len(tokens))
