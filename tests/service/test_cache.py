from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from engines.audio import AudioChunk
from service.cache import ClipCache
from tests.service.conftest import FakeSynthesizer, RunningService, StartService


def noise(seconds: float = 1.0, seed: int = 0) -> AudioChunk:
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, round(seconds * 16000))
    return AudioChunk(samples.astype(np.float32), 16000)


def heard(cache: ClipCache, path: Path) -> np.ndarray:
    chunks = cache.read(path)
    assert chunks is not None
    return np.concatenate([chunk.samples for chunk in chunks])


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, 10**6)
    path = cache.path("mum", "text")
    assert cache.read(path) is None
    chunks = [noise(2.5), noise(0.5, seed=1)]
    cache.keep(path, chunks)
    np.testing.assert_allclose(
        heard(cache, path), np.concatenate([each.samples for each in chunks]), atol=1 / 32767
    )
    pieces = list(cache.read(path) or [])
    assert [piece.last for piece in pieces] == [False, True]
    assert not list(tmp_path.glob("*/*.part"))


@pytest.mark.parametrize("facts", [("text", 1.5), ("Text", 1.0), ("text", 1.0, None)])
def test_whatever_changes_the_sound_changes_the_key(
    tmp_path: Path, facts: tuple[object, ...]
) -> None:
    cache = ClipCache(tmp_path, 10**6)
    assert cache.path("mum", *facts) != cache.path("mum", "text", 1.0)
    assert cache.path("dad", "text", 1.0) != cache.path("mum", "text", 1.0)
    assert cache.path("mum", "text", 1.0) == cache.path("mum", "text", 1.0)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, 10**9)
    paths = [cache.path("mum", number) for number in range(3)]
    for number, path in enumerate(paths):
        cache.keep(path, [noise(seed=number)])
    size = cache.bytes // 3
    heard(cache, paths[0])
    small = ClipCache(tmp_path, 10**9)
    small._limit = round(size * 3.5)
    newest = small.path("mum", "new")
    small.keep(newest, [noise(seed=9)])
    assert small.read(paths[1]) is None
    assert not paths[1].exists()
    assert [small.read(path) is not None for path in (paths[0], paths[2], newest)] == [True] * 3


def test_clips_survive_a_restart_within_the_limit(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, 10**9)
    path = cache.path("mum", "text")
    cache.keep(path, [noise()])
    assert ClipCache(tmp_path, 10**9).read(path) is not None
    assert ClipCache(tmp_path, 10).read(path) is None
    assert not path.exists()


def test_a_limit_of_zero_keeps_nothing(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, 0)
    path = cache.path("mum", "text")
    cache.keep(path, [noise()])
    assert cache.read(path) is None
    assert list(tmp_path.rglob("*.flac")) == []


def test_a_deleted_voice_leaves_no_clip(tmp_path: Path) -> None:
    cache = ClipCache(tmp_path, 10**9)
    mum, dad = cache.path("mum", "text"), cache.path("dad", "text")
    for path in (mum, dad):
        cache.keep(path, [noise()])
    cache.delete_voice("mum")
    assert cache.read(mum) is None
    assert not mum.parent.exists()
    assert cache.read(dad) is not None


def test_a_broken_clip_is_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = ClipCache(tmp_path, 10**9)
    path = cache.path("mum", "text")
    cache.keep(path, [noise()])
    path.write_bytes(b"not a FLAC")
    assert cache.read(path) is None
    assert not path.exists()
    assert "cannot be read" in caplog.text


def test_what_a_power_cut_left_is_swept(tmp_path: Path) -> None:
    part = tmp_path / "mum" / "abc.1234.part"
    part.parent.mkdir()
    part.write_bytes(b"half")
    ClipCache(tmp_path, 10**9)
    assert not part.exists()


def test_a_folder_that_cannot_be_written_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "mum").write_text("a file where the folder should be")
    cache = ClipCache(tmp_path, 10**9)
    cache.keep(cache.path("mum", "text"), [noise()])
    assert "cannot be kept" in caplog.text


async def said(service: RunningService, text: str, **fields: object) -> tuple[str, int]:
    async with service.post(input=text, response_format="pcm", **fields) as response:
        return response.headers["X-Speech-Rung"], len(await response.read())


async def test_what_was_said_before_is_said_from_the_cache(start_service: StartService) -> None:
    service = await start_service()
    first = await said(service, "Dinner is ready. Come down.")
    again = await said(service, "Dinner is ready. Come down.")
    other = await said(service, "Dinner is ready. Come down.", speed=1.25)
    assert [rung for rung, _ in (first, again, other)] == ["fake", "cache", "fake"]
    assert again[1] == pytest.approx(first[1], abs=8)
    assert len(service.synthesizer.said) == 4


async def test_the_cache_speaks_when_nothing_else_can(
    start_service: StartService, synthesizer: FakeSynthesizer
) -> None:
    service = await start_service()
    await said(service, "Dinner is ready.")
    synthesizer.fails = True
    assert (await said(service, "Dinner is ready."))[0] == "cache"


async def test_what_broke_off_is_not_kept(
    start_service: StartService, synthesizer: FakeSynthesizer
) -> None:
    service = await start_service()
    synthesizer.gate.clear()
    synthesizer.free_chunks = 1
    async with service.post(input="First comes one. Then comes two.", response_format="pcm"):
        pass
    synthesizer.gate.set()
    assert (await said(service, "First comes one. Then comes two."))[0] == "fake"


async def test_a_client_that_leaves_with_its_answer_has_had_it(
    start_service: StartService,
) -> None:
    service = await start_service()
    host, port = service.url.removeprefix("http://").split(":")
    body = b'{"input": "Dinner is ready.", "response_format": "pcm"}'
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/audio/speech HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    async with asyncio.timeout(60):
        await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    assert (await said(service, "Dinner is ready."))[0] == "cache"
    async with service.session.get(f"{service.url}/metrics") as response:
        assert 'speech_requests_total{door="http",outcome="done"} 2.0' in await response.text()
