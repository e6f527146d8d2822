import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from engines.backends.kernels import compiling, decode_loop
from engines.backends.kernels.decode_loop import (
    FULL,
    RUNNING,
    SLOT,
    DecodeLoop,
    Prefilled,
)
from engines.backends.kernels.packing import PackedT2S
from engines.sampling import SamplingParams

LAYERS = 3


class HostDriver:
    """Device memory as host memory, and a list of launches."""

    def __init__(self, clusters=0):
        self.clusters = clusters
        self.memory = {}
        self.launches = []

    def allocate(self, size):
        memory = np.zeros(size, np.uint8)
        self.memory[memory.ctypes.data] = memory
        return memory.ctypes.data

    def free(self, pointer):
        del self.memory[pointer]

    def write(self, pointer, array):
        self._bytes(pointer, array.nbytes)[:] = np.ascontiguousarray(array).view(np.uint8).ravel()

    def read(self, array, pointer):
        array.view(np.uint8).ravel()[:] = self._bytes(pointer, array.nbytes)

    def copy(self, to, source, pitches, width, rows):
        for row in range(rows):
            piece = self._bytes(source + row * pitches[1], width)
            self._bytes(to + row * pitches[0], width)[:] = piece

    def launch(self, kernel, grid, threads, shared, arguments):
        self.launches.append((kernel, grid, threads, shared, arguments))

    def resident_clusters(self, kernel, threads, shared):
        return self.clusters

    def _bytes(self, pointer, size):
        for start, memory in self.memory.items():
            if start <= pointer and pointer + size <= start + len(memory):
                return memory[pointer - start :][:size]
        raise AssertionError(f"{size} bytes at {pointer} are not the loop's")


def packed():
    empty = np.zeros(4, np.float32)
    return PackedT2S(LAYERS, *[empty] * 8)


def loop(slots=2, capacity=64, clusters=0):
    driver = HostDriver(clusters)
    return DecodeLoop(driver, packed(), slots, capacity), driver


def admit(decode, slot, prompt, **params):
    prefilled = Prefilled(logits=1, keys=2, values=3, length=20, room=32)
    sampling = SamplingParams(**{"seed": 2**40 + 5, **params})
    decode.admit(slot, prefilled, np.array(prompt, np.int64), sampling, limit=1500)


def test_admitting_writes_the_slot_places_the_cache_and_draws():
    decode, driver = loop()
    admit(decode, 1, [3, 3, 40], temperature=0.0, top_k=5000)
    state = decode.states()[1]
    assert (state["state"], state["position"], state["length"], state["count"]) == (
        RUNNING,
        2,
        20,
        0,
    )
    assert (state["seed_low"], state["seed_high"]) == (5, 256)
    assert (state["top_k"], state["temperature"]) == (1025, np.float32(1e-5))
    assert decode.states()[0]["state"] == decode_loop.EMPTY
    assert [launch[:2] for launch in driver.launches] == [
        ("t2s_place", (16, LAYERS)),
        ("t2s_draw", (1, 1)),
    ]
    assert driver.launches[1][4][-4:] == [1, 1025, 0, 64]


def test_what_was_heard_is_a_bit_for_every_token():
    decode, driver = loop()
    admit(decode, 1, [3, 3, 40, 1023])
    heard = np.empty(64, np.uint32)
    pointer = int(driver.launches[1][4][2]) + 64 * 4
    driver.read(heard, pointer)
    bits = np.flatnonzero(np.unpackbits(heard.view(np.uint8), bitorder="little"))
    assert bits.tolist() == [3, 40, 1023]


def test_steps_are_one_launch_where_all_clusters_fit():
    decode, driver = loop(clusters=8)
    decode.step(25)
    ((kernel, grid, threads, shared, arguments),) = driver.launches
    assert (kernel, grid, threads, shared) == ("t2s_steps", (64, 1), 512, decode_loop.SHARED_BYTES)
    assert arguments[-4:] == [LAYERS, 2, 64, 25]


@pytest.mark.parametrize("clusters", [0, 7])
def test_steps_are_a_chain_of_kernels_elsewhere(clusters):
    decode, driver = loop(clusters=clusters)
    decode.step(2)
    names = [launch[0] for launch in driver.launches]
    layer = ["t2s_qkv", "t2s_attend", "t2s_out", "t2s_units", "t2s_feed"]
    assert names == ([*layer * LAYERS, "t2s_logits", "t2s_draw"]) * 2
    assert {launch[2] for launch in driver.launches} == {256}


@pytest.mark.parametrize("name", ["t2s_generic", "t2s_cluster"])
def test_launches_give_as_many_arguments_as_the_kernels_take(name):
    decode, driver = loop(clusters=8)
    admit(decode, 0, [1])
    decode.step(1)
    chain, other = loop()
    chain.step(1)
    given = {launch[0]: len(launch[4]) for launch in driver.launches + other.launches}
    source = (compiling.SOURCES / f"{name}.cu").read_text()
    kernels = re.findall(r"\b(t2s_\w+)\(((?:const )?\w+(?:::\w+)?\*? ?[^)]*)\) \{", source)
    assert kernels
    for kernel, parameters in kernels:
        assert given[kernel] == parameters.count(",") + 1, kernel


def test_growing_keeps_every_row_and_lets_full_slots_go_on():
    decode, driver = loop(slots=2, capacity=4)
    rows = np.arange(LAYERS * 2 * 16 * 4 * 32, dtype=np.float16).reshape(-1, 4, 32)
    driver.write(decode._keys, rows)
    states = np.zeros(2, SLOT)
    states["state"] = [FULL, decode_loop.ENDED]
    driver.write(decode._state, states)
    decode.grow(7)
    grown = np.empty((len(rows), 7, 32), np.float16)
    driver.read(grown, decode._keys)
    np.testing.assert_array_equal(grown[:, :4], rows)
    assert not grown[:, 4:].any()
    assert decode.states()["state"].tolist() == [RUNNING, decode_loop.ENDED]


def test_dropping_empties_one_slot():
    decode, _ = loop()
    admit(decode, 0, [1])
    admit(decode, 1, [1])
    decode.drop(0)
    assert decode.states()["state"].tolist() == [decode_loop.EMPTY, RUNNING]


@pytest.mark.parametrize("slots", [0, 9])
def test_more_slots_than_columns_are_refused(slots):
    with pytest.raises(ValueError, match="slots must be from 1 to 8"):
        loop(slots=slots)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Shared", decode_loop.SHARED_BYTES),
        ("Exchange", decode_loop.EXCHANGE_BYTES),
        ("Workspace", decode_loop.WORKSPACE_BYTES),
        ("Slot", SLOT.itemsize),
    ],
)
def test_sizes_are_those_that_the_compiler_checks(name, number):
    sources = "".join(path.read_text() for path in compiling.SOURCES.glob("t2s_*.cu*"))
    assert f"static_assert(sizeof({name}) == {number}" in sources


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc")
@pytest.mark.parametrize("architecture", [75, 90])
def test_the_kernels_compile(tmp_path: Path, architecture: int):
    made = compiling.compile_kernels(tmp_path, [architecture])
    wanted = ["t2s_generic.fatbin", "t2s_cluster.fatbin"][: 1 + (architecture >= 90)]
    assert [path.name for path in made] == wanted
    assert all(path.stat().st_size > 10_000 for path in made)
