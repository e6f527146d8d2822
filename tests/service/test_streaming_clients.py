"""Real clients hear the beginning before the end is made: shown by the order of events."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from tests.service.conftest import CHUNK_SECONDS, FakeSynthesizer, StartService

CURL = shutil.which("curl")


@pytest.mark.skipif(CURL is None, reason="needs curl")
async def test_curl(start_service: StartService, synthesizer: FakeSynthesizer) -> None:
    service = await start_service()
    synthesizer.gate.clear()
    synthesizer.free_chunks = 1
    body = json.dumps({"input": "Dinner is ready.", "response_format": "pcm"})
    url = f"{service.url}/v1/audio/speech"
    command = ("curl", "--silent", "--no-buffer", "--data", body, url)
    curl = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert curl.stdout is not None
    first = await curl.stdout.readexactly(1000)
    made_by_then = synthesizer.chunks_made
    synthesizer.gate.set()
    rest = await curl.stdout.read()
    assert await curl.wait() == 0
    assert made_by_then == 1
    assert len(first + rest) > 3 * CHUNK_SECONDS * 64_000
