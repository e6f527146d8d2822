"""The original's text-to-semantic loops, with their quirks, for comparing numbers.

What our product does instead is in `engines.semantic`. Here rows run in lockstep because the
original draws one block of noise for all rows that are still active.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from engines.networks.t2s import T2S
from engines.sampling import MINIMUM_TOKENS, Floats, SamplingParams, penalise, probabilities

Tokens = npt.NDArray[np.int64]
BlockNoise = Callable[[tuple[int, int]], Floats]

MOST_STEPS = 1500


@dataclass(slots=True)
class Row:
    """One sentence's run.

    Attributes:
        drawn: every token drawn, the last one included whatever it was.
        ended: it stopped at the end token rather than at a limit.
        logits: raw logits of every step, [V].
        penalised: after the repetition penalty; one shorter while the end is held back.
        weights: what was drawn from; the same width.
    """

    drawn: list[int] = field(default_factory=list)
    ended: bool = False
    logits: list[Floats] = field(default_factory=list)
    penalised: list[Floats] = field(default_factory=list)
    weights: list[Floats] = field(default_factory=list)

    @property
    def index(self) -> int:
        """The loop's counter when it stopped."""
        return len(self.drawn) - 1

    def naive(self) -> list[int]:
        """Tokens that the one-sentence loop returns: at a limit the last one stays."""
        return self.drawn[:-1] if self.ended else self.drawn

    def naive_kept(self, prompted: bool) -> list[int]:
        """What its caller keeps: the last `index` tokens, so a limit loses the *first* one."""
        return self.naive()[-self.index :] if prompted else self.naive()

    def batched(self) -> list[int]:
        """Tokens that the batched loop returns: always without the last."""
        return self.drawn[:-1]


def run_rows(
    network: T2S,
    items: Sequence[tuple[Tokens, Floats]],
    prompt: Tokens | None,
    params: SamplingParams,
    noise: BlockNoise,
    early_stop: int,
) -> list[Row]:
    """Speak items (phones [n], bert [1024, n]) with one prompt [P], all in lockstep."""
    heard = np.zeros(0, np.int64) if prompt is None else prompt
    end = network.ar_predict_layer.out_features - 1
    rows = [Row() for _ in items]
    caches = [Cache(network, phones, bert, heard) for phones, bert in items]
    active = list(range(len(items)))
    for step in range(MOST_STEPS):
        width = end if step < MINIMUM_TOKENS else end + 1
        block = noise((len(active), width))
        for q, number in zip(block, active, strict=True):
            row, cache = rows[number], caches[number]
            row.logits.append(cache.logits)
            previous = np.concatenate([heard, np.array(row.drawn, np.int64)])
            penalised = penalise(cache.logits[:width], previous, params.repetition_penalty)
            weights = probabilities(penalised, params)
            row.drawn.append(int(np.argmax(weights / q)))
            row.penalised.append(penalised)
            row.weights.append(weights)
            row.ended = end in (row.drawn[-1], int(np.argmax(penalised)))
        active = [number for number in active if not rows[number].ended]
        if not active or step + 1 > early_stop:
            break
        for number in active:
            caches[number].feed(rows[number].drawn[-1])
    return rows


class Cache:
    """One sentence's keys and values, and the logits that they led to.

    Args:
        network: the text-to-semantic network.
        phones: [n].
        bert: [1024, n].
        prompt: [P].
    """

    def __init__(self, network: T2S, phones: Tokens, bert: Floats, prompt: Tokens) -> None:
        self._network = network
        self._position = len(prompt)
        self._length = len(phones) + len(prompt)
        with torch.inference_mode():
            logits, self.keys, self.values = network.prefill(
                torch.from_numpy(phones)[None],
                torch.from_numpy(bert)[None],
                torch.from_numpy(prompt)[None],
            )
        self.logits: Floats = logits[0].numpy()

    def feed(self, token: int) -> None:
        """Add a token; `logits` are then those of the next."""
        if self._length == self.keys.shape[3]:
            room = torch.zeros_like(self.keys[:, :, :, :1]).expand(-1, -1, -1, 64, -1)
            self.keys = torch.cat([self.keys, room], dim=3)
            self.values = torch.cat([self.values, room], dim=3)
        with torch.inference_mode():
            logits, self.keys, self.values = self._network.step(
                torch.tensor([token]),
                torch.tensor([self._position]),
                torch.tensor([self._length]),
                self.keys,
                self.values,
            )
        self.logits = logits[0].numpy()
        self._position += 1
        self._length += 1


def chunks(row: Row, length: int, similarity: Floats | None) -> Iterator[tuple[list[int], bool]]:
    """Pieces that the streaming loop yields, and whether each is the final one.

    With `similarity` (of every token to the mute token) a piece is everything since the last cut,
    and the cut lies *inside* it: tokens behind the cut come again in the next piece.
    """
    tokens = row.naive()
    start = 0
    for known in range(1, len(row.drawn)):
        waiting = known - start
        if similarity is None:
            if waiting >= length:
                yield tokens[start:known], False
                start = known
        elif waiting >= length + 2:
            score = similarity[tokens[start:known]]
            score = np.where(score < 0, np.float32(-1), score)
            score[:-1] += score[1:].copy()
            best = int(np.argmax(score))
            if score[best] >= 0 and best + 1 >= length:
                yield tokens[start:known], False
                start += best + 1
    yield tokens[start:], True


def mute_similarity(network: T2S, mute: int) -> Floats:
    """Cosine similarity of every token's embedding with the mute token's, [V]."""
    table = network.ar_audio_embedding.word_embeddings.weight
    similarity: Any = torch.nn.functional.cosine_similarity(table, table[mute : mute + 1])
    return np.asarray(similarity.numpy())
