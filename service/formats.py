"""Audio formats that flow out while they are made."""

from __future__ import annotations

import io
import struct
import threading
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from engines.audio import AudioChunk

UNKNOWN_SIZE = 0xFFFFFFFF
OPUS_RATE = 48000  # the one rate that every Opus decoder plays without asking
_OGG_PAGE_LATENCY_COMMAND = 0x1302  # SFC_SET_OGG_PAGE_LATENCY_MS of libsndfile
_OGG_PAGE_MS = 100.0
# Without the seek table that a stream cannot have, players guess an MP3's length from its first
# frame's bit rate: right only when all frames have the same. 56 kbit/s at 16 to 24 kHz, 112 above.
_STEADY_MP3 = {"bitrate_mode": "CONSTANT", "compression_level": 0.7}


class Writer(Protocol):
    """Turns samples at one rate into a stream's bytes."""

    def write(self, samples: NDArray[np.float32]) -> bytes:
        """Bytes that are ready after these samples."""

    def finish(self) -> bytes:
        """The last bytes."""

    def close(self) -> None:
        """Let go of everything; may be called at any time, more than once."""


class PcmWriter:
    """16-bit little-endian samples behind an optional header."""

    def __init__(self, header: bytes = b"") -> None:
        self._pending = header

    def write(self, samples: NDArray[np.float32]) -> bytes:
        """The header once, then the samples."""
        data = self._pending + AudioChunk(samples, 0).pcm16()
        self._pending = b""
        return data

    def finish(self) -> bytes:
        """The header, if there never was a sample."""
        return self.write(np.zeros(0, np.float32))

    def close(self) -> None:
        """There is nothing to let go of."""


class SoundfileWriter:
    """A libsndfile encoder whose output is taken as it grows.

    What libsndfile rewrites at the end (a FLAC's length, an MP3's seek table) was sent already with
    "unknown" in its place, which players accept of a stream.
    """

    def __init__(self, sample_rate: int, container: str, subtype: str) -> None:
        self._buffer = io.BytesIO()
        self._sent = 0
        steady = _STEADY_MP3 if container == "MP3" else {}
        self._file = soundfile.SoundFile(
            self._buffer, "w", sample_rate, 1, format=container, subtype=subtype, **steady
        )
        if container == "OGG":
            # libsndfile collects a second of Opus before it lets a page go; soundfile has no
            # public call for the command that shortens this.
            latency = soundfile._ffi.new("double*", _OGG_PAGE_MS)
            soundfile._snd.sf_command(self._file._file, _OGG_PAGE_LATENCY_COMMAND, latency, 8)

    def write(self, samples: NDArray[np.float32]) -> bytes:
        """What the encoder let go after these samples; may be empty."""
        self._file.write(np.clip(samples, -1.0, 1.0))
        return self._take(self._buffer.tell())

    def finish(self) -> bytes:
        """What the encoder still held."""
        self._file.close()
        return self._take(self._buffer.getbuffer().nbytes)

    def close(self) -> None:
        """Close the encoder before its buffer goes, which it would still write to."""
        self._file.close()

    def _take(self, end: int) -> bytes:
        data = bytes(self._buffer.getbuffer()[self._sent : end])
        self._sent = end
        return data


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table of formats."""

    content_type: str
    container: str | None = None  # libsndfile's name; None for what is written here
    subtype: str = ""
    header: bool = False
    rate: int | None = None  # the only rate it is sent at

    def writer(self, sample_rate: int) -> Writer:
        """A writer for one stream."""
        if self.container is not None:
            return SoundfileWriter(sample_rate, self.container, self.subtype)
        return PcmWriter(streaming_wav_header(sample_rate) if self.header else b"")


_OGG_OPUS = Format("audio/ogg", "OGG", "OPUS", rate=OPUS_RATE)
FORMATS = {
    "wav": Format("audio/wav", header=True),
    "pcm": Format("audio/pcm"),
    "flac": Format("audio/flac", "FLAC", "PCM_16"),
    "mp3": Format("audio/mpeg", "MP3", "MPEG_LAYER_III"),
    "opus": _OGG_OPUS,
    "ogg": _OGG_OPUS,
}


def streaming_wav_header(sample_rate: int) -> bytes:
    """Header of a mono 16-bit WAV whose length nobody knows yet.

    Both sizes are 0xFFFFFFFF: Home Assistant, ffmpeg, MPD and libsndfile then read to the end.
    """
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", UNKNOWN_SIZE, b"WAVE") + form + b"data\xff\xff\xff\xff"


class OneRate:
    """Brings chunks of any rates to one.

    Args:
        sample_rate: in Hz, of what comes out.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._resampler: soxr.ResampleStream | None = None
        self._source_rate = sample_rate

    def take(self, chunk: AudioChunk) -> NDArray[np.float32]:
        """The chunk's samples, behind what the chunk before left; may be empty."""
        ending = np.zeros(0, np.float32)
        if chunk.sample_rate != self._source_rate:
            ending = self.finish()
            self._source_rate = chunk.sample_rate
            if chunk.sample_rate != self.sample_rate:
                self._resampler = soxr.ResampleStream(
                    chunk.sample_rate, self.sample_rate, 1, dtype="float32"
                )
        samples = chunk.samples
        if self._resampler is not None:
            samples = self._resampler.resample_chunk(samples)
        return np.concatenate([ending, samples])

    def finish(self) -> NDArray[np.float32]:
        """The last samples."""
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest: NDArray[np.float32] = self._resampler.resample_chunk(
            np.zeros(0, np.float32), last=True
        )
        self._resampler = None
        return rest


class Encoder:
    """Chunks of any rate in, one stream of bytes out; one encoder serves one answer.

    A context manager: leaving it lets go of the encoder, also of an answer that broke off, and
    waits for a call that another thread is still in.

    Args:
        name: a key of `FORMATS`, or a format of the door's own.
        sample_rate: rate in Hz of what comes out; a format with a rate of its own ignores it.
    """

    def __init__(self, name: str | Format, sample_rate: int) -> None:
        row = FORMATS[name] if isinstance(name, str) else name
        self.content_type = row.content_type
        self.sample_rate = row.rate or sample_rate
        self._writer = row.writer(self.sample_rate)
        self._rate = OneRate(self.sample_rate)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._writer.close()

    def encode(self, chunk: AudioChunk) -> bytes:
        """Bytes that are ready after this chunk; may be empty."""
        with self._lock:
            return self._writer.write(self._rate.take(chunk))

    def finish(self) -> bytes:
        """The last bytes of the stream."""
        with self._lock:
            return self._writer.write(self._rate.finish()) + self._writer.finish()
