from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.audio import AudioChunk
from service import clips
from service.clips import ClipNotFound, ClipShelf
from service.errors import ServiceError
from service.formats import FORMATS
from tests.service.conftest import StartService

NOISE = np.random.default_rng(0).uniform(-0.3, 0.3, 24000).astype(np.float32)
CHUNKS = [AudioChunk(NOISE, 24000), AudioChunk(NOISE[:16000], 32000)]


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pcm"])
def test_a_clip_is_a_complete_file(tmp_path: Path, name: str) -> None:
    shelf = ClipShelf(tmp_path)
    path = shelf.path(shelf.put(CHUNKS, name, 32000, "plain"))
    samples, rate = soundfile.read(path)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.01)
    assert np.sqrt(np.mean(np.square(samples))) > 0.1


def test_a_pcm_clip_is_bare_samples(tmp_path: Path) -> None:
    shelf = ClipShelf(tmp_path)
    assert shelf.path(shelf.put(CHUNKS, "pcm", 16000, "plain")).stat().st_size == 1.5 * 32000


@pytest.mark.parametrize(
    "file", ["", "x.wav", "../secret.wav", "a" * 22 + ".exe", "a" * 22 + ".wav", "a" * 22 + ".wav/"]
)
def test_only_its_own_names_are_looked_up(tmp_path: Path, file: str) -> None:
    (tmp_path.parent / "secret.wav").write_bytes(b"secret")
    with pytest.raises(ClipNotFound):
        ClipShelf(tmp_path).path(file)


def test_a_clip_goes_when_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    monkeypatch.setattr(clips, "monotonic", lambda: clock)
    earlier = ClipShelf(tmp_path).put(CHUNKS, "wav", 16000, "plain")
    shelf = ClipShelf(tmp_path, lifetime=60)
    clock += 30
    old = shelf.path(shelf.put(CHUNKS, "wav", 16000, "plain"))
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
    new = shelf.put(CHUNKS, "wav", 16000, "plain")
    assert [path.name for path in tmp_path.glob("*/*")] == [new]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "clips").write_text("a file where the folder should be")
    with pytest.raises(ServiceError, match="cannot be written"):
        ClipShelf(tmp_path / "clips").put(CHUNKS, "wav", 16000, "plain")


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
