"""Speech with its phones and their timing, a few hundred utterances a file.

One `.npz` without pickles. Audio is either 16-bit samples at 32 kHz ("pcm", for files that stay
where they are made) or Ogg Opus at 24 kHz ("opus", about 23 MB an hour, for files that travel; the
synthesizers give nothing above 12 kHz).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr

RATE = 32_000
OPUS_RATE = 24_000
_OPUS_COMPRESSION = 0.82  # libsndfile's scale, 1 is smallest; this is about 50 kbit/s

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Utterance:
    """One sentence of one speaker.

    Attributes:
        speaker: name.
        text: as the front end wrote it out.
        samples: int16 at 32 kHz.
        phone_ids: of the table "v2".
        ends: where each phone ends, in samples.
    """

    speaker: str
    text: str
    samples: npt.NDArray[np.int16]
    phone_ids: Integers
    ends: Integers


def write(path: Path, utterances: Sequence[Utterance], codec: str) -> None:
    """Write a shard; it appears complete or not at all."""
    blobs = [_encoded(utterance.samples, codec) for utterance in utterances]
    arrays = {
        "codec": np.array(codec),
        "speakers": np.array(json.dumps([utterance.speaker for utterance in utterances])),
        "texts": np.array(json.dumps([utterance.text for utterance in utterances])),
        "lengths": np.array([len(utterance.samples) for utterance in utterances]),
        "audio": np.concatenate([np.frombuffer(blob, np.uint8) for blob in blobs]),
        "audio_ends": np.cumsum([len(blob) for blob in blobs]),
        "phones": np.concatenate([u.phone_ids for u in utterances]).astype(np.int16),
        "ends": np.concatenate([u.ends for u in utterances]).astype(np.int32),
        "phone_ends": np.cumsum([len(u.phone_ids) for u in utterances]),
    }
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    unfinished.rename(path)


def load(path: Path) -> Iterator[Utterance]:
    """Read the utterances of a shard in their order."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    speakers, texts = json.loads(str(arrays["speakers"])), json.loads(str(arrays["texts"]))
    audio = np.split(arrays["audio"], arrays["audio_ends"][:-1])
    phones = np.split(arrays["phones"], arrays["phone_ends"][:-1])
    ends = np.split(arrays["ends"], arrays["phone_ends"][:-1])
    for place, (speaker, text) in enumerate(zip(speakers, texts, strict=True)):
        length = int(arrays["lengths"][place])
        samples = _decoded(audio[place].tobytes(), str(arrays["codec"]), length)
        yield Utterance(
            speaker, text, samples, phones[place].astype(np.int64), ends[place].astype(np.int64)
        )


def _encoded(samples: npt.NDArray[np.int16], codec: str) -> bytes:
    if codec == "pcm":
        return samples.tobytes()
    import soundfile  # only where Opus is made or read: the GPU machine makes its own speech

    narrow = soxr.resample(samples.astype(np.float32) / 32768, RATE, OPUS_RATE)
    stream = io.BytesIO()
    soundfile.write(
        stream,
        narrow,
        OPUS_RATE,
        format="OGG",
        subtype="OPUS",
        compression_level=_OPUS_COMPRESSION,
    )
    return stream.getvalue()


def _decoded(blob: bytes, codec: str, length: int) -> npt.NDArray[np.int16]:
    if codec == "pcm":
        return np.frombuffer(blob, np.int16)
    import soundfile

    narrow, rate = soundfile.read(io.BytesIO(blob), dtype="float32")
    wide = soxr.resample(narrow, rate, RATE)
    samples = np.zeros(length, np.float32)
    samples[: min(length, len(wide))] = wide[:length]
    return np.asarray(np.clip(samples * 32768, -32768, 32767), np.int16)
