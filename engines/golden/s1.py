"""Golden group `s1`: the text-to-semantic network and the original's loops around it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engines.checkpoint import load_t2s
from engines.golden.folder import Folder, Vectors
from engines.golden.original_loops import (
    BlockNoise,
    Cache,
    Row,
    Tokens,
    chunks,
    mute_similarity,
    run_rows,
)
from engines.golden.recording import recording
from engines.networks import t2s
from engines.networks.t2s import T2S, prefill_visible
from engines.sampling import Floats, SamplingParams

_LAYER = re.compile(r"a\.layer(\d+)\.(out|k|v)")
_BATCH_ITEM = re.compile(r"batch\.x(\d+)")
_NUMBERS = re.compile(
    r"\b(top_k|top_p|temperature|repetition|early_stop_num|chunk_length|code|seed)[ =]([\d.]*\d)"
)
_NO_LIMIT = 2700


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `s1.npz`."""
    checkpoint = load_t2s(folder.checkpoint("s1_tiny"))
    network = t2s.load(checkpoint.config, checkpoint.weights)
    with torch.inference_mode():
        group = _S1(folder, vectors, network)
        yield from group.parts()
        yield from group.single_runs()
        yield from group.batch()
        yield from group.without_prompt()
        yield from group.streams()


def _ones(shape: tuple[int, int]) -> Floats:
    return np.ones(shape, np.float32)


class _S1:
    def __init__(self, folder: Folder, vectors: Vectors, network: T2S) -> None:
        self.folder = folder
        self.vectors = vectors
        self.network = network
        self.phones: Tokens = vectors.input("a.x")[0]
        self.bert: Floats = vectors.input("a.bert")[0]
        self.prompt: Tokens = vectors.input("a.prompt")[0]

    def parts(self) -> Iterator[tuple[str, Any]]:
        """The first pass from the inside, then logits for a given sequence."""
        network, phones = self.network, torch.from_numpy(self.phones)[None]
        bert, prompt = torch.from_numpy(self.bert)[None], torch.from_numpy(self.prompt)[None]
        with recording(network) as record:
            logits, keys, values = network.prefill(phones, bert, prompt)
        count = phones.shape[1]
        yield "a.text_emb", network.ar_text_embedding(phones)
        yield "a.bert_proj", record.outputs["bert_proj"]
        embedded = network.embed(phones, bert, prompt)
        yield "a.x_pos", embedded[:, :count]
        yield "a.y_pos", embedded[:, count:]
        yield "a.mask_blocked", ~prefill_visible(count, prompt.shape[1], logits.device)
        for match in filter(None, map(_LAYER.fullmatch, self.vectors.names)):
            layer, what = int(match.group(1)), match.group(2)
            joined = {"k": keys, "v": values}.get(what, keys)[layer].transpose(1, 2).flatten(2)
            out = record.outputs[f"h.layers.{layer}.norm2"]
            yield match.group(0), out if what == "out" else joined
        yield "a.logits0", logits
        cache = Cache(network, self.phones, self.bert, self.prompt)
        forced = [cache.logits]
        for token in self.vectors.input("a.forced")[:-1]:
            cache.feed(int(token))
            forced.append(cache.logits)
        yield "a.forced_logits", np.stack(forced)

    def single_runs(self) -> Iterator[tuple[str, Any]]:
        """Greedy, sampled, ended by the arg-max, and stopped early."""
        row = self._run("greedy.y", _ones)
        yield from self._naive("greedy", row)
        yield "greedy.logits", np.stack(row.logits)
        row = self._run("sampled.y", self._recorded("sampled.q"))
        yield from self._naive("sampled", row)
        yield "sampled.raw", np.stack(row.logits)
        yield "sampled.penalised", _padded(row.penalised)
        yield "sampled.probs", _padded(row.weights)
        yield "sampled.tokens", np.array(row.drawn)
        row = self._run("argmax_eos.q", self._recorded("argmax_eos.q"))
        yield from self._naive("argmax_eos", row)
        yield "argmax_eos.tokens", np.array(row.drawn)
        row = self._run("early.naive.y", _ones)
        yield from self._naive("early.naive", row)
        yield "early.batch.y", np.concatenate([self.prompt, row.batched()])
        yield "early.batch.idx", np.array(row.index)

    def batch(self) -> Iterator[tuple[str, Any]]:
        """Several sentences side by side."""
        vectors = self.vectors
        numbers = [m.group(1) for m in filter(None, map(_BATCH_ITEM.fullmatch, vectors.names))]
        seeds = vectors.input("batch.seeds")
        phones = [vectors.input(f"batch.x{number}") for number in numbers]
        items = [
            (ids, self._bert(len(ids), int(seed))) for ids, seed in zip(phones, seeds, strict=True)
        ]
        prompt = vectors.input("batch.prompt")[0]
        limit = self._numbers("batch.idx").get("early_stop_num", _NO_LIMIT)
        rows = run_rows(self.network, items, prompt, SamplingParams(), _ones, int(limit))
        for number, row in zip(numbers, rows, strict=True):
            yield f"batch.y{number}", np.concatenate([prompt, row.batched()])
        yield "batch.idx", np.array([row.index for row in rows])
        yield "batch.logits0", np.stack([row.logits[0] for row in rows])
        yield "batch.logits1", np.stack([row.logits[1] for row in rows])

    def without_prompt(self) -> Iterator[tuple[str, Any]]:
        """No reference tokens: everything that comes back is new, and the index is 0."""
        limit = self._numbers("free.y").get("early_stop_num", _NO_LIMIT)
        items = [(self.phones, self.bert)]
        [row] = run_rows(self.network, items, None, SamplingParams(), _ones, int(limit))
        yield "free.y", np.array([row.naive()])
        yield "free.idx", np.array(0)
        yield "free.logits0", row.logits[0][None]

    def streams(self) -> Iterator[tuple[str, Any]]:
        """The streaming loop, cut at mute tokens and at fixed lengths."""
        vectors = self.vectors
        mute = int(self._numbers("stream.mute_sim").get("code", 0))
        similarity = mute_similarity(self.network, mute)
        yield "stream.mute_sim", similarity
        phones = vectors.input("stream.x")[0]
        items = [(phones, self._bert(len(phones), int(vectors.input("stream.bert_seed"))))]
        prompt = vectors.input("stream.prompt")[0]
        for name, guide in (("mute", similarity), ("fixed", None)):
            numbers = self._numbers(f"stream.{name}.n")
            limit = int(numbers.get("early_stop_num", _NO_LIMIT))
            [row] = run_rows(self.network, items, prompt, SamplingParams(), _ones, limit)
            pieces = list(chunks(row, int(numbers.get("chunk_length", 8)), guide))
            yield f"stream.{name}.n", np.array(len(pieces))
            for number, (tokens, _) in enumerate(pieces):
                yield f"stream.{name}.chunk{number}", np.array([tokens])

    def _run(self, described: str, noise: BlockNoise) -> Row:
        numbers = self._numbers(described)
        params = SamplingParams()
        params = replace(
            params,
            top_k=int(numbers.get("top_k", params.top_k)),
            top_p=numbers.get("top_p", params.top_p),
            temperature=numbers.get("temperature", params.temperature),
            repetition_penalty=numbers.get("repetition", params.repetition_penalty),
        )
        limit = int(numbers.get("early_stop_num", _NO_LIMIT))
        items = [(self.phones, self.bert)]
        [row] = run_rows(self.network, items, self.prompt, params, noise, limit)
        return row

    def _naive(self, name: str, row: Row) -> Iterator[tuple[str, Any]]:
        yield f"{name}.y", np.concatenate([self.prompt, row.naive()])[None]
        yield f"{name}.idx", np.array(row.index)

    def _recorded(self, name: str) -> BlockNoise:
        recorded = self.vectors.input(name)
        # A run that is right ends with its noise; one that is wrong must end somehow, too.
        steps = iter([*recorded, *np.ones((_NO_LIMIT, recorded.shape[1]), np.float32)])
        return lambda shape: next(steps)[None, : shape[1]]

    def _bert(self, phones: int, seed: int) -> Floats:
        made: Floats = self.folder.recipe.fill("b", (1, 1024, phones), 0.8, 0, seed=seed)[0]
        return made

    def _numbers(self, array: str) -> dict[str, float]:
        """The settings that the README names for an array."""
        text = self.folder.description("s1", array)
        return {name: float(value) for name, value in _NUMBERS.findall(text)}


def _padded(rows: list[Floats]) -> Floats:
    """Rows of different widths as one array, -inf where the end token was cut off."""
    width = max(len(row) for row in rows)
    return np.stack(
        [np.pad(row, (0, width - len(row)), constant_values=-np.inf) for row in rows]
    ).astype(np.float32)
