"""Which kernels draw tokens, with which arguments: the decode loop that stays on the device.

A slot's whole state lies on the device (`SLOT`), and the kernels keep it: the host writes it when a
sentence enters and looks at it every few tokens. Two sets of kernels give the same tokens: one
launch for many steps where the GPU has thread-block clusters and room for all of them at once, and
else a chain of small kernels, best captured as a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engines.backends.kernels.packing import HEAD, HEADS, VOCABULARY, WIDTH, PackedT2S
from engines.sampling import SamplingParams

Array = npt.NDArray[Any]

SLOTS = 8
"""The most slots of a loop: the columns of one tensor-core product."""

MAX_TOKENS = 2048
"""Places for the tokens of a slot."""

EMPTY, RUNNING, ENDED, CUT, FULL = range(5)
"""States of a slot; a full one goes on when its cache has grown."""

SLOT = np.dtype(
    [
        *((name, np.int32) for name in ("state", "token", "position", "length", "count", "limit")),
        *((name, np.int32) for name in ("top_k", "greedy")),
        *((name, np.float32) for name in ("top_p", "temperature", "penalty")),
        *((name, np.uint32) for name in ("seed_low", "seed_high")),
        ("unused", np.int32, 3),
    ]
)

HEARD_WORDS = 64
SHARED_BYTES = 182560
EXCHANGE_BYTES = 590920
WORKSPACE_BYTES = 123392
LOGITS_OFFSET = 90112
LOGITS_PITCH = 1040
CLUSTERS, CLUSTER_BLOCKS, CLUSTER_THREADS = 8, 8, 512
THREADS = 256
_PART_BYTES = {"attention": 10240 * 2, "feed": 16384 * 2}


class Driver(Protocol):
    """Who owns the device: memory and launches, all on one stream."""

    def allocate(self, size: int) -> int:
        """Device memory of `size` bytes, zeroed; its address."""
        ...

    def free(self, pointer: int) -> None:
        """Give memory back."""
        ...

    def write(self, pointer: int, array: Array) -> None:
        """Copy an array to the device."""
        ...

    def read(self, array: Array, pointer: int) -> None:
        """Copy from the device into an array; returns when it is there."""
        ...

    def copy(self, to: int, source: int, pitches: tuple[int, int], width: int, rows: int) -> None:
        """Copy `rows` pieces of `width` bytes within the device, at pitches (to, source)."""
        ...

    def launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        threads: int,
        shared: int,
        arguments: Sequence[np.generic],
    ) -> None:
        """Start a kernel, with so many threads a block and bytes of dynamic shared memory."""
        ...

    def resident_clusters(self, kernel: str, threads: int, shared: int) -> int:
        """How many of the kernel's clusters of 8 blocks the device holds at once; 0 if none."""
        ...


@dataclass(frozen=True, slots=True)
class Prefilled:
    """What a prefill left on the device, float32.

    Attributes:
        logits: address of the logits [1025].
        keys: address of the keys (layers, heads, room, 32).
        values: address of the values.
        length: filled places.
        room: places from one head to the next, at least `length`.
    """

    logits: int
    keys: int
    values: int
    length: int
    room: int


class DecodeLoop:
    """B slots that draw tokens.

    Args:
        driver: owns the device; the kernels are loaded there.
        packed: the weights.
        slots: how many sentences at most, up to 8.
        capacity: places of each slot's cache; `grow` makes it longer.

    Raises:
        ValueError: more slots than the kernels take.
    """

    def __init__(self, driver: Driver, packed: PackedT2S, slots: int, capacity: int) -> None:
        if not 1 <= slots <= SLOTS:
            raise ValueError(f"slots must be from 1 to {SLOTS}, not {slots}")
        self.slots, self.capacity, self.layers = slots, capacity, packed.layers
        self._driver = driver
        self._weights = {
            field.name: self._upload(getattr(packed, field.name))
            for field in fields(packed)
            if field.name != "layers"
        }
        self._state = driver.allocate(slots * SLOT.itemsize)
        self._heard = driver.allocate(slots * HEARD_WORDS * 4)
        self._tokens = driver.allocate(slots * MAX_TOKENS * 4)
        self._keys, self._values = (driver.allocate(self._cache_bytes(capacity)) for _ in range(2))
        self.clusters = _fits(driver)
        self._shared = driver.allocate(EXCHANGE_BYTES if self.clusters else WORKSPACE_BYTES)

    def admit(
        self,
        slot: int,
        prefilled: Prefilled,
        prompt: Array,
        params: SamplingParams,
        limit: int,
        greedy: bool = False,
    ) -> None:
        """Take a prefilled sentence into a slot and draw its first token.

        Args:
            slot: which one.
            prefilled: where its logits, keys and values lie; free again when the stream has passed.
            prompt: the tokens of the reference.
            params: how tokens are drawn; the seed is definite.
            limit: after so many tokens the sentence is cut.
            greedy: without noise.
        """
        state = np.zeros(1, SLOT)
        state["state"] = RUNNING
        state["position"] = len(prompt) - 1
        state["length"] = prefilled.length
        state["limit"] = min(limit, MAX_TOKENS)
        state["top_k"] = min(params.top_k, VOCABULARY)
        state["greedy"] = greedy
        state["top_p"] = params.top_p
        state["temperature"] = max(params.temperature, 1e-5)
        state["penalty"] = params.repetition_penalty
        state["seed_low"] = params.seed & 0xFFFFFFFF
        state["seed_high"] = params.seed >> 32 & 0xFFFFFFFF
        heard = np.zeros(HEARD_WORDS, np.uint32)
        tokens = prompt[prompt < VOCABULARY].astype(np.int64)
        np.bitwise_or.at(heard, tokens >> 5, (1 << (tokens & 31)).astype(np.uint32))
        self._driver.write(self._state + slot * SLOT.itemsize, state)
        self._driver.write(self._heard + slot * HEARD_WORDS * 4, heard)
        self._launch(
            "t2s_place",
            (HEADS, self.layers),
            (prefilled.keys, prefilled.values, self._keys, self._values),
            (prefilled.length, prefilled.room, slot, self.slots, self.capacity),
        )
        self._draw(prefilled.logits, slot, 1, VOCABULARY, filled=0)

    def step(self, count: int) -> None:
        """Draw up to `count` more tokens for every running slot, without a look at any of them."""
        if self.clusters:
            self._cluster_steps(count)
        else:
            for _ in range(count):
                self._generic_step()

    def states(self) -> Array:
        """All slots now, `SLOT` [slots]."""
        states = np.empty(self.slots, SLOT)
        self._driver.read(states, self._state)
        return states

    def tokens(self, slot: int, start: int, stop: int) -> Array:
        """Tokens that a slot has drawn, int32 [stop - start]."""
        tokens = np.empty(stop - start, np.int32)
        self._driver.read(tokens, self._tokens + (slot * MAX_TOKENS + start) * 4)
        return tokens

    def drop(self, slot: int) -> None:
        """Empty a slot."""
        self._driver.write(self._state + slot * SLOT.itemsize, np.zeros(1, SLOT))

    def grow(self, capacity: int) -> None:
        """Make every slot's cache longer; slots that were full go on."""
        rows = self.layers * self.slots * HEADS
        for name in ("_keys", "_values"):
            old, new = getattr(self, name), self._driver.allocate(self._cache_bytes(capacity))
            width = self.capacity * HEAD * 2
            self._driver.copy(new, old, (capacity * HEAD * 2, width), width, rows)
            self._driver.free(old)
            setattr(self, name, new)
        self.capacity = capacity
        states = self.states()
        states["state"][states["state"] == FULL] = RUNNING
        self._driver.write(self._state, states)

    def logits(self) -> Array:
        """Logits of the last step, float32 [slots, 1025]; for checks."""
        if self.clusters:
            words = np.empty((SLOTS, LOGITS_PITCH, 2), np.float32)
            self._driver.read(words, self._shared + 2 * SLOTS * CLUSTERS * WIDTH * 8)
            return words[: self.slots, :VOCABULARY, 0]
        logits = np.empty((SLOTS, LOGITS_PITCH), np.float32)
        self._driver.read(logits, self._shared + LOGITS_OFFSET)
        return logits[: self.slots, :VOCABULARY]

    def _cluster_steps(self, count: int) -> None:
        pointers = [*self._weights.values()]
        pointers += [self._keys, self._values, self._state, self._heard, self._tokens, self._shared]
        numbers = (self.layers, self.slots, self.capacity, count)
        grid = (CLUSTERS * CLUSTER_BLOCKS, 1)
        self._launch("t2s_steps", grid, pointers, numbers, CLUSTER_THREADS, SHARED_BYTES)

    def _generic_step(self) -> None:
        work, slots, cache = self._shared, self._state, (self._keys, self._values)
        tables = (self._weights["embedding"], self._weights["positions"])
        for layer in range(self.layers):
            attention, feed = self._layer("attention", layer), self._layer("feed", layer)
            sizes = (layer, self.slots, self.capacity)
            self._launch("t2s_qkv", (128, 1), (*attention, *tables, *cache, slots, work), sizes)
            self._launch("t2s_attend", (HEADS, self.slots), (*cache, slots, work), sizes)
            out = (attention[0], attention[1], feed[2], *tables, slots, work)
            self._launch("t2s_out", (32, 1), out, sizes[:2])
            self._launch("t2s_units", (128, 1), (*feed, slots, work), (self.slots,))
            added = (feed[0], feed[1], self._layer("attention", layer + 1)[2], slots, work)
            self._launch("t2s_feed", (32, 1), added, (self.slots,))
        last = self._layer("attention", self.layers)
        self._launch("t2s_logits", (65, 1), (last[0], last[1], slots, work), (self.slots,))
        self._draw(work + LOGITS_OFFSET, 0, self.slots, LOGITS_PITCH, filled=1)

    def _layer(self, kind: str, layer: int) -> tuple[int, int, int]:
        return (
            self._weights[kind] + layer * 128 * _PART_BYTES[kind],
            self._weights[f"{kind}_norms"] + layer * 2 * WIDTH * 4,
            self._weights[f"{kind}_biases"] + layer * 128 * 80 * 4,
        )

    def _draw(self, logits: int, slot: int, slots: int, pitch: int, filled: int) -> None:
        pointers = (logits, self._state, self._heard, self._tokens)
        self._launch("t2s_draw", (slots, 1), pointers, (slot, pitch, filled, self.capacity))

    def _launch(
        self,
        kernel: str,
        grid: tuple[int, int],
        pointers: Sequence[int],
        numbers: Sequence[int],
        threads: int = THREADS,
        shared: int = 0,
    ) -> None:
        arguments: list[np.generic] = [np.uint64(pointer) for pointer in pointers]
        arguments += [np.int32(number) for number in numbers]
        self._driver.launch(kernel, grid, threads, shared, arguments)

    def _cache_bytes(self, capacity: int) -> int:
        return self.layers * self.slots * HEADS * capacity * HEAD * 2

    def _upload(self, array: Array) -> int:
        pointer = self._driver.allocate(array.nbytes)
        self._driver.write(pointer, array)
        return pointer


def _fits(driver: Driver) -> bool:
    resident = driver.resident_clusters("t2s_steps", CLUSTER_THREADS, SHARED_BYTES)
    return resident >= CLUSTERS
