"""The decode loop's driver against a card of paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.backends.cuda_device import CudaDevice
from engines.backends.kernels.decode_loop import SLOT, DecodeLoop
from engines.backends.stream_driver import StreamDriver
from engines.errors import DeviceError

from .card import Bindings, PyCuda
from .kernels.test_decode_loop import LAYERS, packed


@pytest.fixture
def kernels(tmp_path: Path) -> Path:
    names = "t2s_qkv t2s_attend t2s_out t2s_units t2s_feed t2s_logits t2s_draw t2s_place"
    (tmp_path / "t2s_generic.fatbin").write_text(names)
    (tmp_path / "t2s_cluster.fatbin").write_text("t2s_steps")
    return tmp_path


def opened(kernels: Path, capability: tuple[int, int], **more: Any) -> StreamDriver:
    device = CudaDevice((PyCuda(capability), Bindings()))
    return StreamDriver(device, device.stream(urgent=True), kernels, **more)


def test_memory_is_cleared_written_read_and_copied(kernels: Path) -> None:
    driver = opened(kernels, (8, 6))
    first, second = driver.allocate(12), driver.allocate(12)
    read = np.empty(3, np.int32)
    driver.read(read, first)
    assert read.tolist() == [0, 0, 0]
    driver.write(first, np.array([1, 2, 3], np.int32)[::-1])
    driver.copy(second, first, (4, 8), 4, 2)
    driver.read(read, second)
    assert read.tolist() == [3, 1, 0]
    driver.free(first)
    assert len(driver.device.cuda.live) == 1


def test_arguments_reach_the_kernel(kernels: Path) -> None:
    driver = opened(kernels, (8, 6))
    driver.launch("t2s_draw", (3, 2), 256, 99, [np.uint64(1 << 40), np.int32(-7)])
    sizes = (3, 2, 1, 256, 1, 1, 99)
    launched = driver.device.driver.launches
    assert launched == [("t2s_draw", sizes, driver.stream.handle, (1 << 40, -7))]
    assert driver.device.driver.attributes == [("t2s_draw", 8, 99)]


@pytest.mark.parametrize(
    ("capability", "more", "resident"),
    [((8, 6), {}, 0), ((9, 0), {}, 16), ((9, 0), {"clusters": False}, 0), ((12, 0), {}, 16)],
)
def test_clusters_are_used_where_they_are(
    kernels: Path, capability: tuple[int, int], more: dict[str, Any], resident: int
) -> None:
    assert opened(kernels, capability, **more).resident_clusters("t2s_steps", 512, 9) == resident


def test_a_card_without_room_for_clusters_has_none(kernels: Path) -> None:
    driver = opened(kernels, (12, 0))
    driver.device.driver.fails["cuFuncSetAttribute"] = "CUDA_ERROR_INVALID_VALUE"
    assert driver.resident_clusters("t2s_steps", 512, 182560) == 0
    driver.device.driver.fails["cuFuncSetAttribute"] = "CUDA_ERROR_ILLEGAL_ADDRESS"
    driver._functions.clear()
    with pytest.raises(DeviceError, match="must be restarted"):
        driver.resident_clusters("t2s_steps", 512, 182560)


def test_an_unknown_kernel_is_named(kernels: Path) -> None:
    with pytest.raises(DeviceError, match="no kernel 't2s_abacus' for sm86"):
        opened(kernels, (8, 6)).launch("t2s_abacus", (1, 1), 1, 0, [np.uint64(0), np.int32(0)])


def test_a_loop_runs_on_it_and_its_steps_are_recorded(kernels: Path) -> None:
    driver = opened(kernels, (8, 6))
    loop = DecodeLoop(driver, packed(), 2, 16)
    assert not loop.clusters
    loop.step(1)
    chain = len(driver.device.driver.launches)
    assert chain == 5 * LAYERS + 2
    assert loop.states().dtype == SLOT
    launch = driver.capture(lambda: None)
    launch()
    assert driver.device.driver.calls[-1] == "cuGraphLaunch"
