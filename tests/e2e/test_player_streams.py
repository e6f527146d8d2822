"""MPD plays the beginning before the end is made: shown by the order of events."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

import numpy as np
import pytest
from aiohttp import web

from engines.audio import AudioChunk
from service.app import HEALTH, create_app
from service.config import Settings
from service.utterance import Utterance
from tests.lab.player import Player, provide_programs
from tests.service.conftest import RATE, FakeSynthesizer, eventually

PARTS, PART = 2, 4.0  # so many parts of so many seconds; MPD wants three before it begins


class Patient(FakeSynthesizer):
    """Waits after each part until the gate is open."""

    def speak(self, utterance: Utterance, cancelled: Callable[[], bool]) -> Iterator[AudioChunk]:
        for number in range(PARTS):
            self.chunks_made += 1
            beep = 0.2 * np.sin(np.arange(round(PART * RATE)) * 0.1)
            yield AudioChunk(beep.astype(np.float32), RATE, last=number == PARTS - 1)
            assert self.gate.wait(120)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[tuple[str, Patient]]:
    synthesizer = Patient()
    app = create_app(Settings(data=tmp_path / "data"), lambda: (synthesizer,))
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await eventually(lambda: app[HEALTH].ready or app[HEALTH].failure is not None)
    synthesizer.chunks_made = 0
    yield "http://{}:{}".format(*runner.addresses[0][:2]), synthesizer
    synthesizer.gate.set()
    await runner.cleanup()


async def test_mpd_plays_while_it_is_being_made(
    service: tuple[str, Patient], tmp_path: Path
) -> None:
    url, synthesizer = service
    provide_programs()
    synthesizer.gate.clear()
    asked = {"text": "Dinner is ready.", "text_lang": "en", "prompt_lang": "en"}
    asked |= {"ref_audio_path": "plain", "streaming_mode": "true", "media_type": "wav"}
    with await asyncio.to_thread(Player, tmp_path) as player:
        called = monotonic()
        await asyncio.to_thread(player.play, f"{url}/tts?{urlencode(asked)}")
        await eventually(lambda: player.mark() > 0)
        made_by_then = synthesizer.chunks_made
        synthesizer.gate.set()
        played = await asyncio.to_thread(player.await_announcement, 0, called)
    assert made_by_then == 1
    assert played.seconds == pytest.approx(PARTS * PART, abs=0.3)
