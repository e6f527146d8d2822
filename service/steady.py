"""Keeps an answer flowing: players and satellites give up on a stream that pauses too long.

Whoever writes the text may think in the middle of it, and a slow rung may take its time over a
sentence. A voice satellite hangs when nothing comes for five seconds, and some players stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import numpy as np

from engines.audio import AudioChunk

PATIENCE = 2.5  # seconds without a chunk before silence is sent
CRUMB = 0.3  # seconds of silence for a player that still has sound; enough for any encoder's block


async def steady(chunks: AsyncIterator[AudioChunk]) -> AsyncIterator[AudioChunk]:
    """The chunks, and silence where the next one keeps a player waiting.

    A player that has played all it got is given as much silence as it waited, so that it never has
    nothing; one that is still playing only a crumb, so that the connection is seen to live.
    Before the first chunk nothing is sent: until then an answer can still be an error.
    """
    latest: AudioChunk | None = None
    begun = sent = 0.0
    try:
        while True:
            waiting = asyncio.ensure_future(anext(chunks, None))
            while not await _came(waiting, None if latest is None else PATIENCE):
                assert latest is not None
                silence = max(CRUMB, monotonic() - begun - sent)
                sent += silence
                rate = latest.sample_rate
                yield AudioChunk(np.zeros(round(silence * rate), np.float32), rate, latest.sentence)
            chunk = waiting.result()
            if chunk is None:
                return
            begun = begun or monotonic()
            sent += len(chunk.samples) / chunk.sample_rate
            latest = chunk
            yield chunk
    finally:
        # Only what was still awaited: a chunk that came was handed out, its error raised.
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait({waiting})


async def _came(waiting: asyncio.Future[AudioChunk | None], patience: float | None) -> bool:
    done, _ = await asyncio.wait({waiting}, timeout=patience)
    return bool(done)
