from __future__ import annotations

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.audio import AudioChunk
from service import clips
from service.clip_files import Take
from service.clips import ClipNotFound, ClipShelf
from service.errors import ServiceError, SynthesisFailed
from service.formats import FORMATS
from tests.service.conftest import StartService, eventually

NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 24000).astype(np.float32)
CHUNKS = [AudioChunk(NOISE, 24000), AudioChunk(NOISE[:16000], 32000)]
ENCODED = [name for name, row in FORMATS.items() if row.container]


async def spoken() -> AsyncIterator[AudioChunk]:
    for chunk in CHUNKS:
        yield chunk


async def record(shelf: ClipShelf, name: str, rate: int = 32000) -> str:
    return await shelf.record(spoken(), name, rate, "plain")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*/*.part"))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*/*"))


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pcm"])
async def test_a_clip_is_a_complete_file(tmp_path: Path, name: str) -> None:
    shelf = ClipShelf(tmp_path)
    path = await asyncio.to_thread(shelf.path, await record(shelf, name))
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.01)
    assert np.sqrt(np.mean(np.square(samples))) > 0.1
    assert left(tmp_path) == [path.name]


async def test_a_pcm_clip_is_bare_samples(tmp_path: Path) -> None:
    shelf = ClipShelf(tmp_path)
    path = shelf.path(await record(shelf, "pcm", 16000))
    assert path.stat().st_size == 1.5 * 32000


async def test_a_clip_is_written_while_it_is_spoken(tmp_path: Path) -> None:
    shelf = ClipShelf(tmp_path)
    sizes = []

    async def slowly() -> AsyncIterator[AudioChunk]:
        for chunk in CHUNKS:
            yield chunk
            sizes.append(_size(tmp_path))

    await shelf.record(slowly(), "pcm", 24000, "plain")
    assert sizes[0] == 2 * 24000


@pytest.mark.parametrize("name", ENCODED)
async def test_a_clip_outlives_the_end_of_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("service.clip_files.Take._end_encoding", lambda take: None)
    killed = ClipShelf(tmp_path)
    file = await record(killed, name)
    again = ClipShelf(tmp_path)
    samples, rate = soundfile.read(again.path(file))
    assert len(samples) / rate == pytest.approx(1.5, abs=0.01)
    assert again.path(file).name == file


async def test_what_could_not_be_encoded_is_encoded_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("service.clip_files.Take._encode", _full)
        shelf = ClipShelf(tmp_path)
        file = await record(shelf, "opus")
        await asyncio.to_thread(shelf.path, file)
    assert soundfile.info(shelf.path(file)).duration == pytest.approx(1.5, abs=0.01)


async def test_the_address_does_not_wait_for_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clips, "_ANSWER_FIRST", 3600.0)
    shelf = ClipShelf(tmp_path)
    file = await shelf.record(_sentences(), "mp3", 32000, "plain")
    heard = tmp_path / "plain" / f"{file}.wav"
    assert soundfile.info(heard).duration == pytest.approx(2.0, abs=0.01)
    assert not (tmp_path / "plain" / file).exists()
    both = await asyncio.gather(*(asyncio.to_thread(shelf.path, file) for _ in range(2)))
    assert both[0] == both[1]
    assert soundfile.info(both[0]).duration == pytest.approx(2.0, abs=0.1)
    assert left(tmp_path) == [file]


async def test_a_clip_is_encoded_though_nobody_fetches_it(tmp_path: Path) -> None:
    file = await ClipShelf(tmp_path).record(_sentences(), "opus", 32000, "plain")
    await eventually(lambda: left(tmp_path) == [file])


async def test_who_fetches_what_cannot_be_encoded_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(clips, "_ANSWER_FIRST", 3600.0)
    shelf = ClipShelf(tmp_path)
    file = await shelf.record(_sentences(), "opus", 32000, "plain")
    monkeypatch.setattr("service.clip_files._SoundFile.add", _no_room)
    with pytest.raises(ServiceError, match="cannot be written: No space"):
        await asyncio.to_thread(shelf.path, file)
    assert "encoded when it is asked for" in caplog.text
    assert f"{file}.wav" in left(tmp_path)


async def _sentences() -> AsyncIterator[AudioChunk]:
    for _ in range(2):
        yield AudioChunk(NOISE, 24000, last=True)


def _no_room(file: object, samples: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _full(take: Take, samples: object) -> None:
    take._failure = OSError("the disk is full")


@pytest.mark.parametrize("name", ["wav", "opus"])
async def test_nothing_stays_of_what_breaks_off(tmp_path: Path, name: str) -> None:
    shelf = ClipShelf(tmp_path)

    async def breaks() -> AsyncIterator[AudioChunk]:
        yield CHUNKS[0]
        raise SynthesisFailed("it broke")

    with pytest.raises(SynthesisFailed):
        await shelf.record(breaks(), name, 32000, "plain")
    await eventually(lambda: left(tmp_path) == [])


@pytest.mark.parametrize(
    "file", ["", "x.wav", "../secret.wav", "a" * 22 + ".exe", "a" * 22 + ".wav", "a" * 22 + ".wav/"]
)
def test_only_its_own_names_are_looked_up(tmp_path: Path, file: str) -> None:
    (tmp_path.parent / "secret.wav").write_bytes(b"secret")
    with pytest.raises(ClipNotFound):
        ClipShelf(tmp_path).path(file)


async def test_a_clip_goes_when_its_time_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr(clips, "monotonic", lambda: clock)
    earlier = await record(ClipShelf(tmp_path), "wav")
    shelf = ClipShelf(tmp_path, lifetime=60)
    clock += 30
    old = shelf.path(await record(shelf, "wav"))
    long_ago = 1.0  # whatever the clock on the wall was set to
    os.utime(old, (long_ago, long_ago))
    assert shelf.path(earlier)
    clock += 31
    with pytest.raises(ClipNotFound):
        shelf.path(earlier)
    assert shelf.path(old.name)
    clock += 30
    with pytest.raises(ClipNotFound):
        shelf.path(old.name)
    new = await record(shelf, "wav")
    assert left(tmp_path) == [new]


async def test_a_long_announcement_is_not_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 1000.0
    monkeypatch.setattr(clips, "monotonic", lambda: clock)
    shelf = ClipShelf(tmp_path, lifetime=60)

    async def slowly() -> AsyncIterator[AudioChunk]:
        nonlocal clock
        yield CHUNKS[0]
        clock += 100
        await record(shelf, "wav")
        yield CHUNKS[1]

    file = await shelf.record(slowly(), "opus", 32000, "plain")
    path = await asyncio.to_thread(shelf.path, file)
    assert soundfile.info(path).duration == pytest.approx(1.5, abs=0.01)


async def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file where the folder should be")
    with pytest.raises(ServiceError, match="cannot be written"):
        await record(ClipShelf(tmp_path / "clips"), "wav")


async def test_players_fetch_a_clip_as_they_like(start_service: StartService) -> None:
    service = await start_service(token="secret")
    body = {"input": "Dinner is ready.", "response_format": "wav"}
    headers = {"Authorization": "Bearer secret"}
    url = f"{service.url}/v1/clips"
    async with service.session.post(url, json=body, headers=headers) as response:
        clip = await response.json()
    assert clip["seconds"] == pytest.approx(0.4)
    assert (clip["rung"], clip["voice"]) == ("fake", "plain")
    assert clip["url"] == f"{service.url}/{clip['path']}"
    async with service.session.get(clip["url"]) as response:
        whole = await response.read()
    assert response.content_type == "audio/wav"
    assert response.content_length == len(whole)
    assert soundfile.read(io.BytesIO(whole))[1] == 32000
    async with service.session.head(clip["url"]) as response:
        assert (response.status, response.content_length) == (200, len(whole))
        assert await response.read() == b""
    async with service.session.get(clip["url"], headers={"Range": "bytes=44-99"}) as response:
        assert (response.status, await response.read()) == (206, whole[44:100])
        tag = response.headers["ETag"]
    async with service.session.get(clip["url"], headers={"If-None-Match": tag}) as response:
        assert response.status == 304


async def test_http_1_0_players_are_served(start_service: StartService) -> None:
    service = await start_service()
    async with service.post(input="Dinner is ready.", response_format="pcm") as response:
        streamed = await response.read()
    async with service.session.post(
        f"{service.url}/v1/clips", json={"input": "Dinner is ready.", "response_format": "pcm"}
    ) as response:
        clip = await response.json()
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /{clip['path']} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b" 200 " in head
    assert b"chunked" not in head.lower()
    assert len(body) == pytest.approx(len(streamed), abs=8)
