"""What is heard in recordings, and what becomes of files that lie."""

from __future__ import annotations

import io
import struct
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from engines.audio import Recording
from engines.prompt import LONGEST, SHORTEST, check_recording
from service import decoding
from service.decoding import BadRecording, decode
from service.enrolment import RateLimit, TooManyRecordings
from service.listening import listen
from service.recording_checks import Verdict, judge
from tests.service.recordings import SAID, as_file, noisy, silence, spoken, story, wav

RATE = 24_000


def decoded(data: bytes) -> Recording:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        return decode(file)


def joined(*parts: Recording) -> Recording:
    return Recording(np.concatenate([part.samples for part in parts]), RATE)


def codes(verdict: Verdict) -> list[tuple[str, str]]:
    return [(finding.severity, finding.code) for finding in verdict.findings]


def test_a_good_recording_is_taken_without_a_word() -> None:
    verdict = judge(spoken(), SAID, "en")
    assert codes(verdict) == []
    assert verdict.accepted
    assert 3.0 <= verdict.stretch.seconds <= spoken().seconds
    check_recording(verdict.recording, "reference", SHORTEST, LONGEST)


def test_silence_around_the_speech_is_left_out() -> None:
    padded = joined(silence(1.5), spoken(), silence(2.0))
    verdict = judge(padded, SAID, "en")
    bare = judge(spoken(), SAID, "en")
    assert codes(verdict) == []
    assert verdict.stretch.start == pytest.approx(1.5 + bare.stretch.start, abs=0.1)
    assert verdict.stretch.seconds == pytest.approx(bare.stretch.seconds, abs=0.2)


def test_a_word_in_a_long_silence_is_found() -> None:
    verdict = judge(joined(silence(60), spoken(), silence(50)), SAID, "en")
    assert verdict.stretch.start == pytest.approx(60, abs=0.4)
    assert verdict.stretch.seconds == pytest.approx(4, abs=0.5)
    assert ("warning", "trimmed") in codes(verdict)
    assert verdict.accepted


@pytest.mark.parametrize("noise", [-90.0, -70.0, -50.0, -42.0])
def test_a_long_recording_is_trimmed_at_pauses(noise: float) -> None:
    recording = noisy(story(), noise)
    verdict = judge(recording)
    assert codes(verdict) == [("warning", "trimmed")]
    assert 6.0 <= verdict.stretch.seconds <= LONGEST
    check_recording(verdict.recording, "reference", SHORTEST, LONGEST)
    quiet = np.abs(story().samples) < 0.01
    for cut in (verdict.stretch.start, verdict.stretch.end):
        assert quiet[round(cut * RATE) - 240 : round(cut * RATE) + 240].all()


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    breathless = story(pause=0.0)
    samples = np.concatenate([breathless.samples[: 7 * RATE], breathless.samples[: 7 * RATE]])
    hum = np.sin(np.arange(len(samples)) * 0.05, dtype=np.float32) * 0.02
    tight = Recording((np.where(np.abs(samples) < 0.02, hum, samples)).astype(np.float32), RATE)
    verdict = judge(tight)
    assert verdict.stretch.seconds <= LONGEST
    assert verdict.stretch.seconds >= SHORTEST


def test_the_stretch_is_at_most_ten_seconds_where_nobody_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.listening.PAUSE", 60.0)
    verdict = judge(story())
    assert ("warning", "cut_in_speech") in codes(verdict)
    assert 7.5 <= verdict.stretch.seconds <= LONGEST
    check_recording(verdict.recording, "reference", SHORTEST, LONGEST)


@pytest.mark.parametrize("level", [-60.0, -50.0, -40.0, -30.0])
def test_noise_is_measured(level: float) -> None:
    heard = listen(noisy(spoken(), level))
    assert heard.noise == pytest.approx(level, abs=1.0)
    assert heard.snr == pytest.approx(-20.0 - level, abs=2.5)


@pytest.mark.parametrize(
    ("recording", "expected"),
    [
        (silence(5), ("error", "silent")),
        (Recording(silence(5).samples + np.float32(0.5e-3), RATE), ("error", "silent")),
        (noisy(silence(5), -30), ("error", "no_speech")),
        (
            Recording(np.sin(np.arange(5 * RATE, dtype=np.float32) / 9) / 3, RATE),
            ("error", "no_speech"),
        ),
        (Recording(spoken().samples[: 2 * RATE], RATE), ("error", "too_short")),
        (Recording(spoken().samples[:1], RATE), ("error", "silent")),
        (joined(Recording(spoken().samples[:RATE], RATE), silence(7)), ("error", "too_short")),
        (noisy(spoken(), -27), ("error", "noisy")),
        (noisy(spoken(), -37), ("warning", "noisy")),
        (Recording(np.clip(spoken().samples * 6, -1, 1), RATE), ("error", "clipped")),
        (Recording(spoken().samples / 100, RATE), ("error", "quiet")),
        (Recording(spoken().samples / 12, RATE), ("warning", "quiet")),
        (Recording(spoken().samples[::3], RATE // 3), ("warning", "low_rate")),
    ],
)
def test_what_is_wrong_is_found(recording: Recording, expected: tuple[str, str]) -> None:
    verdict = judge(recording)
    assert expected in codes(verdict)
    assert verdict.accepted == (expected[0] == "warning")
    for finding in verdict.findings:
        assert finding.message.endswith((".", "?"))
        assert np.isfinite([finding.measured, finding.limit]).all()


@pytest.mark.parametrize(
    ("language", "transcript", "expected"),
    [
        ("en", SAID, []),
        ("en", "Hi.", [("error", "transcript_short")]),
        ("en", SAID * 2, [("error", "transcript_long")]),
        (
            "en",
            SAID + " And so on until all of them sit at the table.",
            [("warning", "transcript_fast")],
        ),
        ("zh", "洗衣机洗好了，五分钟后吃饭。", []),
        ("zh", "好", [("error", "transcript_short")]),
        ("zh", "洗衣机洗好了，五分钟后吃饭。" * 4, [("error", "transcript_long")]),
        ("yue", "洗衣機洗好喇，五分鐘之後食飯。", []),
        ("ja", "洗濯が終わりました。五分で夕食です。", []),
        ("ko", "세탁이 끝났습니다. 곧 저녁입니다.", []),
    ],
)
def test_the_text_must_fit_the_time(
    language: str, transcript: str, expected: list[tuple[str, str]]
) -> None:
    assert codes(judge(spoken(), transcript, language)) == expected


def test_floats_beyond_full_scale_are_scaled_back() -> None:
    loud = Recording(spoken().samples * 1e20, RATE)
    verdict = judge(loud, SAID, "en")
    assert verdict.accepted
    assert np.abs(verdict.recording.samples).max() <= 1


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_the_usual_formats_are_read(container: str, subtype: str) -> None:
    recording = decoded(as_file(spoken().samples, RATE, container, subtype))
    assert recording.seconds == pytest.approx(spoken().seconds, abs=0.15)
    assert judge(recording, SAID, "en").accepted


def test_two_channels_become_one() -> None:
    both = np.stack([spoken().samples, np.zeros_like(spoken().samples)], axis=1)
    recording = decoded(as_file(both))
    assert np.abs(recording.samples - spoken().samples / 2).max() < 1e-4


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("voice.wav", b"\0" * 50_000_000)
    return buffer.getvalue()


def with_sizes(data: bytes, riff: int, chunk: int) -> bytes:
    """A WAV file whose header claims other sizes."""
    return data[:4] + struct.pack("<I", riff) + data[8:40] + struct.pack("<I", chunk) + data[44:]


def flac_that_claims(hours: int) -> bytes:
    """A FLAC file whose header counts samples that are not there."""
    data = bytearray(as_file(spoken().samples[:RATE], RATE, "FLAC", "PCM_16"))
    total = hours * 3600 * RATE
    data[21] = (data[21] & 0xF0) | (total >> 32)
    data[22:26] = struct.pack(">I", total & 0xFFFFFFFF)
    return bytes(data)


NAN = np.where(np.arange(4 * RATE) % 1000, 0.1, np.nan).astype(np.float32)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"R", id="one byte"),
        pytest.param(b"RIFF", id="four bytes"),
        pytest.param(zip_bomb(), id="zip bomb"),
        pytest.param(b"<script>alert(1)</script>" * 100, id="page"),
        pytest.param(as_file(np.zeros(0, np.float32)), id="no samples"),
        pytest.param(as_file(NAN, subtype="FLOAT"), id="not numbers"),
        pytest.param(as_file(np.full(9999, np.inf), subtype="FLOAT"), id="infinite"),
        pytest.param(as_file(np.full((9999, 2), 3e38), subtype="FLOAT"), id="overflows when mixed"),
        pytest.param(as_file(np.zeros((999, 9), np.float32)), id="nine channels"),
        pytest.param(as_file(np.zeros(999), 2000), id="low rate"),
        pytest.param(as_file(np.zeros(999), 192_000), id="high rate"),
        pytest.param(as_file(np.zeros(130 * 8000), 8000, "FLAC", "PCM_16"), id="too long"),
        pytest.param(as_file(np.zeros(7200 * 8000), 8000, "FLAC", "PCM_16"), id="two hours"),
        pytest.param(flac_that_claims(2), id="claims two hours"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(BadRecording, match=r"^file: ") as refused:
        decoded(data)
    assert refused.value.param == "file"
    assert "Traceback" not in str(refused.value)


@pytest.mark.parametrize(
    ("riff", "chunk"), [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0xFFFFFFF0), (36, 0x7FFFFFFF)]
)
def test_sizes_in_a_header_are_not_believed(riff: int, chunk: int) -> None:
    recording = decoded(with_sizes(wav(spoken()), riff, chunk))
    assert recording.seconds == pytest.approx(spoken().seconds, abs=0.01)


def tightened(folder: Path, constant: str, value: int) -> Path:
    """A copy of the program whose reader, a process of its own, has another limit."""
    root = Path(decoding.__file__).parents[1]
    (folder / "engines").symlink_to(root / "engines")
    (folder / "service").mkdir()
    for path in (root / "service").glob("*.py"):
        (folder / "service" / path.name).symlink_to(path)
    tight = folder / "service" / "decoding_child.py"
    text = tight.read_text().replace("def main()", f"{constant} = {value}\n\n\ndef main()")
    tight.unlink()
    tight.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("constant", "value"), [("MEMORY", 64 << 20), ("MAX_RECORDING", 1000), ("CPU_SECONDS", 0)]
)
def test_the_reader_is_held_to_its_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant: str, value: int
) -> None:
    monkeypatch.setattr(decoding, "_ROOT", tightened(tmp_path, constant, value))
    with pytest.raises(BadRecording, match="limits of memory and time"):
        decoded(wav(spoken()))


def test_the_reader_s_limits_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_ROOT", tightened(tmp_path, "MEMORY", 900 << 20))
    longest = np.zeros((119 * 48_000, 2), np.float32)
    assert decoded(as_file(longest, 48_000)).seconds == 119


def test_a_reader_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WALL_SECONDS", 0.001)
    with pytest.raises(BadRecording, match=r"within 0\.001 s"):
        decoded(wav(spoken()))


def test_recordings_come_at_a_person_s_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    limit = RateLimit(attempts=2, window=60)
    limit.count("a")
    clock[0] += 20
    limit.count("a")
    with pytest.raises(TooManyRecordings) as refused:
        limit.count("a")
    assert refused.value.retry_after == 41
    limit.count("b")
    clock[0] += 40
    limit.count("a")
    with pytest.raises(TooManyRecordings):
        limit.count("a")
