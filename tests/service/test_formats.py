from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from engines.audio import AudioChunk
from service.formats import FORMATS, Encoder, streaming_wav_header


def tone(seconds: float, rate: int, start: float = 0.0) -> AudioChunk:
    time = start + np.arange(round(seconds * rate)) / rate
    return AudioChunk(np.sin(2 * np.pi * 440 * time).astype(np.float32) * 0.5, rate)


@pytest.mark.parametrize("name", FORMATS)
def test_audio_leaves_long_before_the_end(name: str) -> None:
    encoder = Encoder(name, 32000)
    sent = [len(encoder.encode(tone(0.1, 32000))) for _ in range(20)]
    early, whole = sum(sent[:10]), sum(sent) + len(encoder.finish())
    assert 0.3 < early / whole < 0.7


@pytest.mark.parametrize("name", FORMATS)
def test_an_answer_without_audio_is_still_a_file(name: str) -> None:
    encoder = Encoder(name, 32000)
    assert isinstance(encoder.finish(), bytes)


@pytest.mark.parametrize("rates", [(24000, 32000, 48000), (32000, 24000, 32000), (22050,)])
def test_chunks_of_any_rate_become_one_stream(rates: tuple[int, ...]) -> None:
    encoder = Encoder("pcm", 32000)
    data = b"".join(encoder.encode(tone(0.5, rate)) for rate in rates) + encoder.finish()
    samples = np.frombuffer(data, "<i2") / 32767
    assert len(samples) == pytest.approx(0.5 * 32000 * len(rates), abs=3 * len(rates))
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * 32000 / len(samples) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("name", FORMATS)
def test_an_encoder_may_be_left_at_any_time(name: str) -> None:
    with Encoder(name, 32000) as encoder:
        encoder.encode(tone(0.1, 24000))
    encoder.__exit__()


def test_too_loud_audio_is_clipped_not_wrapped() -> None:
    encoder = Encoder("flac", 32000)
    loud = AudioChunk(np.full(8192, 3.0, np.float32), 32000)
    body = encoder.encode(loud) + encoder.finish()
    samples = soundfile.SoundFile(io.BytesIO(body)).read(8000)
    assert samples.min() > 0.99


def test_the_wav_header_is_one_that_libsndfile_reads_to_the_end() -> None:
    body = streaming_wav_header(16000) + np.zeros(1600, "<i2").tobytes()
    samples, rate = soundfile.read(io.BytesIO(body))
    assert (len(samples), rate, len(streaming_wav_header(16000))) == (1600, 16000, 44)
