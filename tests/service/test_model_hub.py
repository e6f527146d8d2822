"""Downloads from a local hub: redirects, broken connections, wrong hashes, a service killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from engines.backends import CheckpointFiles
from engines.spec import HUBERT_FILES, OFFICIAL_FILES, OFFICIAL_REPOSITORY
from service import model_hub
from service.model_errors import InstallFailed
from service.model_hub import HubError, WrongChecksum, describe, fetch
from service.model_process import run_child
from tests.service.hub_server import COMMIT, Hub
from tests.service.model_house import StartHouse, golden, house, tiny_files  # noqa: F401

LARGE, SMALL = "v/large.pth", "config.json"
CONTENT = {LARGE: bytes(range(256)) * 4000, SMALL: b'{"small": true}'}


@pytest.fixture
async def hub() -> AsyncIterator[tuple[Hub, str]]:
    kept = Hub(CONTENT)
    async with TestServer(kept.application(), host="127.0.0.1") as server:
        yield kept, str(server.make_url("")).rstrip("/")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_hub, "PAUSE", 0.01)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def download(address: str, folder: Path, *names: str) -> list[tuple[int, int]]:
    told: list[tuple[int, int]] = []
    described = describe(OFFICIAL_REPOSITORY, list(names), address)
    fetch(described, folder, lambda done, total, what: told.append((done, total)))
    return told


def files(folder: Path) -> set[str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix() for path in found}


async def test_files_come_whole_and_are_not_fetched_twice(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    kept, address = hub
    told = await asyncio.to_thread(download, address, tmp_path, LARGE, SMALL)
    assert {name: (tmp_path / name).read_bytes() for name in CONTENT} == CONTENT
    total = sum(map(len, CONTENT.values()))
    assert told[-1] == (total, total)
    assert files(tmp_path) == {LARGE, SMALL}
    assert f"/{OFFICIAL_REPOSITORY}/resolve/{COMMIT}/{SMALL}" in {path for _, path, _ in kept.asked}
    kept.asked.clear()
    await asyncio.to_thread(download, address, tmp_path, LARGE, SMALL)
    assert {method for method, _, _ in kept.asked} == {"HEAD"}


async def test_a_broken_connection_goes_on_where_it_broke(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    kept, address = hub
    kept.breaks, kept.break_after = 3, 100_000
    told = await asyncio.to_thread(download, address, tmp_path, LARGE)
    assert (tmp_path / LARGE).read_bytes() == CONTENT[LARGE]
    begins = [span for method, path, span in kept.asked if path.startswith("/content")]
    assert len(begins) == 4
    assert begins[0] == ""
    assert all(span.startswith("bytes=") for span in begins[1:])
    assert [done for done, _ in told] == sorted(done for done, _ in told)


async def test_another_process_goes_on_too(hub: tuple[Hub, str], tmp_path: Path) -> None:
    kept, address = hub
    kept.breaks, kept.break_after = 1, 300_000
    (file,) = await asyncio.to_thread(describe, OFFICIAL_REPOSITORY, [LARGE], address)
    part = model_hub._part(tmp_path, file)
    part.write_bytes(CONTENT[LARGE][:500_000])
    await asyncio.to_thread(download, address, tmp_path, LARGE)
    begins = [span for _, path, span in kept.asked if path.startswith("/content")]
    assert begins[0].startswith("bytes=500000-")
    assert (tmp_path / LARGE).read_bytes() == CONTENT[LARGE]


@pytest.mark.parametrize("name", [LARGE, SMALL])
async def test_a_wrong_hash_is_refused_and_nothing_kept(
    hub: tuple[Hub, str], tmp_path: Path, name: str
) -> None:
    kept, address = hub
    kept.lies.add(name)
    with pytest.raises(WrongChecksum, match=name):
        await asyncio.to_thread(download, address, tmp_path, name)
    assert files(tmp_path) == set()


async def test_a_damaged_part_is_not_built_upon_for_good(
    hub: tuple[Hub, str], tmp_path: Path
) -> None:
    address = hub[1]
    (file,) = await asyncio.to_thread(describe, OFFICIAL_REPOSITORY, [LARGE], address)
    model_hub._part(tmp_path, file).write_bytes(b"x" * 1000)
    with pytest.raises(WrongChecksum):
        await asyncio.to_thread(download, address, tmp_path, LARGE)
    await asyncio.to_thread(download, address, tmp_path, LARGE)
    assert (tmp_path / LARGE).read_bytes() == CONTENT[LARGE]


async def test_what_is_not_there_is_named(hub: tuple[Hub, str], tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"^missing\.pth: .*404"):
        await asyncio.to_thread(download, hub[1], tmp_path, "missing.pth")


async def test_a_hub_that_always_breaks_is_given_up(hub: tuple[Hub, str], tmp_path: Path) -> None:
    kept, address = hub
    kept.breaks, kept.break_after = 1000, 0
    model_hub_tries = model_hub.TRIES
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
        with pytest.raises(HubError, match=LARGE):
            await asyncio.to_thread(download, address, tmp_path, LARGE)
    assert 1000 - kept.breaks >= model_hub_tries


async def test_a_disk_without_room_is_told_before(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("service.model_hub.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(HubError) as refused:
        await asyncio.to_thread(download, hub[1], tmp_path, LARGE)
    assert refused.value.code == "storage_failed"


async def test_the_process_heeds_hf_endpoint(
    hub: tuple[Hub, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, address = hub
    monkeypatch.setenv("HF_ENDPOINT", address)
    told: list[str] = []
    where = ("--repository", OFFICIAL_REPOSITORY, "--to", tmp_path)
    await run_child("download", *where, LARGE, tell=lambda done, total, what: told.append(what))
    assert (tmp_path / LARGE).read_bytes() == CONTENT[LARGE]
    assert set(told) == {LARGE}
    kept.lies.add(SMALL)
    with pytest.raises(InstallFailed) as refused:
        await run_child("download", *where, SMALL, tell=lambda *told: None)
    assert refused.value.code == "wrong_checksum"


async def test_a_version_is_downloaded_and_speaks(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
) -> None:
    version = next(name for name in OFFICIAL_FILES if "gsv-v2final" in OFFICIAL_FILES[name][0])
    t2s, sovits = OFFICIAL_FILES[version]
    config, weights = HUBERT_FILES
    hub = Hub(
        {
            t2s: tiny_files.t2s.read_bytes(),
            sovits: tiny_files.sovits.read_bytes(),
            config: (tiny_files.hubert / "config.json").read_bytes(),
            weights: (tiny_files.hubert / "pytorch_model.bin").read_bytes(),
        },
        break_after=1_000_000,
        breaks=1,
    )
    async with TestServer(hub.application(), host="127.0.0.1") as server:
        home = await house(hub_url=str(server.make_url("")).rstrip("/"))
        assert hub.asked == [], "nothing is fetched unless somebody asks for it"
        body = {"source": "hub", "version": version}
        status, job = await home.ask("POST", "/v1/models", json=body)
        assert status == 202
        job = await home.ended(job)
    assert (job["state"], job["error"], job["model"]) == ("done", None, version)
    folders = {path.name for path in (tmp_path / "models").iterdir() if path.is_dir()}
    assert folders == {version, ".base"}
    assert (await home.listed())[version]["source"] == "hub"


async def test_no_hub_at_all_is_an_error_that_says_so(house: StartHouse, tmp_path: Path) -> None:  # noqa: F811
    home = await house(hub_url="http://127.0.0.1:9")
    body = {"source": "hub", "version": next(iter(OFFICIAL_FILES))}
    _, job = await home.ask("POST", "/v1/models", json=body)
    job = await home.ended(job)
    assert (job["state"], job["error"]["code"]) == ("failed", "hub_failed")
    assert "127.0.0.1:9" in job["error"]["message"]
