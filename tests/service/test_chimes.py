from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engines.plain import PEAK_LIMIT, SPEECH_LEVEL, speech_level
from service import chimes
from service.chimes import BUILT_IN, GAP, RATE, ChimeNotFound, Chimes


def write(path: Path, seconds: float = 0.5, rate: int = 22_050, level: float = 0.02) -> Path:
    path.parent.mkdir(exist_ok=True)
    tone = level * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)
    soundfile.write(path, tone, rate, format="WAV")
    return path


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_chime_rings_and_dies_away(tmp_path: Path, name: str) -> None:
    chime = Chimes(tmp_path).get(name)
    assert chime.built_in
    assert 0.5 < chime.seconds < 3
    samples = np.abs(chime.samples)
    assert samples.max() == pytest.approx(1.0, abs=1e-6)
    assert samples[0] < 0.01
    assert samples[-1] < 0.001
    assert samples[: RATE // 4].max() > 0.3
    # Nothing that a small loudspeaker cannot play, nothing that hisses.
    power = np.abs(np.fft.rfft(chime.samples)) ** 2
    hertz = np.fft.rfftfreq(len(chime.samples), 1 / RATE)
    assert power[(hertz < 60) | (hertz > 12_000)].sum() < 0.001 * power.sum()


def test_chimes_sound_different() -> None:
    prints = {chimes.built_in(name).samples[:20_000].tobytes() for name in BUILT_IN}
    assert len(prints) == len(BUILT_IN) >= 5


@pytest.mark.parametrize("level", [SPEECH_LEVEL, SPEECH_LEVEL / 4])
def test_a_chime_is_as_loud_as_the_speech(tmp_path: Path, level: float) -> None:
    quiet = write(tmp_path / "mine.wav", level=0.001).stem
    for name in (quiet, "gong"):
        audio = Chimes(tmp_path).get(name).at(level)
        assert speech_level(audio.samples, audio.sample_rate) == pytest.approx(level, rel=0.01)
        assert not audio.samples[-round(GAP * audio.sample_rate) :].any()


def test_no_chime_is_clipped(tmp_path: Path) -> None:
    click = np.zeros(8000, np.float32)
    click[100] = 0.5
    soundfile.write(tmp_path / "click.wav", click, 16_000)
    audio = Chimes(tmp_path).get("click").at(SPEECH_LEVEL * 5)
    assert np.abs(audio.samples).max() == pytest.approx(PEAK_LIMIT, rel=1e-3)


def test_a_silent_file_is_silence(tmp_path: Path) -> None:
    write(tmp_path / "hush.wav", level=0.0)
    assert not Chimes(tmp_path).get("hush").at(SPEECH_LEVEL).samples.any()


def test_own_chimes_stand_beside_ours_and_go_before_them(tmp_path: Path) -> None:
    write(tmp_path / "kitchen.wav")
    write(tmp_path / "ding.wav", seconds=0.25)
    listed = {each.name: each.built_in for each in Chimes(tmp_path).all()}
    assert listed == {**dict.fromkeys(BUILT_IN, True), "kitchen": False, "ding": False}
    assert Chimes(tmp_path).get("ding").seconds == pytest.approx(0.25, abs=1e-3)
    assert Chimes(tmp_path).get("kitchen").sample_rate == 22_050


def test_a_changed_file_is_read_again_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "mine.wav")
    house = Chimes(tmp_path)
    assert house.get("mine").seconds == pytest.approx(0.5, abs=1e-3)
    monkeypatch.setattr(chimes, "decode", lambda file: pytest.fail("it was read again"))
    assert house.get("mine").seconds == pytest.approx(0.5, abs=1e-3)
    monkeypatch.undo()
    write(path, seconds=0.75)
    assert house.get("mine").seconds == pytest.approx(0.75, abs=1e-3)
    path.unlink()
    with pytest.raises(ChimeNotFound):
        house.get("mine")


def test_the_revision_changes_with_a_persons_own_chimes_only(tmp_path: Path) -> None:
    house = Chimes(tmp_path)
    seen = [house.revision(), house.revision()]
    path = write(tmp_path / "mine.wav")
    seen += [house.revision(), Chimes(tmp_path).revision()]
    write(path, seconds=0.75)
    seen.append(house.revision())
    path.rename(tmp_path / "yours.wav")
    seen.append(house.revision())
    assert seen[0] == seen[1]
    assert seen[2] == seen[3]
    assert len(set(seen)) == 4


def test_what_is_no_chime_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "chimes"
    write(folder / "long.wav", seconds=10.5, rate=8000)
    (folder / "broken.wav").write_bytes(b"RIFF")
    (folder / "folder.wav").mkdir()
    write(folder / "Large Name.wav")
    write(folder / "other.flac.txt")
    (folder / "link.wav").symlink_to(write(tmp_path / "secret.wav"))
    monkeypatch.setattr(chimes, "MAX_FILE", 400_000)
    write(folder / "large.wav", seconds=5, rate=48_000)
    names = {each.name for each in Chimes(folder).all()}
    assert names == set(BUILT_IN)
    for name in ("long", "broken", "folder", "large"):
        assert f"chimes/{name}.wav is left out" in caplog.text


@pytest.mark.parametrize(
    "name", ["nothing", "../secret", "/etc/passwd", "ding.wav", "", "*", "DING"]
)
def test_an_unknown_name_is_answered_with_those_that_there_are(tmp_path: Path, name: str) -> None:
    write(tmp_path / "secret.wav")
    folder = tmp_path / "chimes"
    write(folder / "mine.wav")
    with pytest.raises(ChimeNotFound, match="alert, ding, dingdong, doorbell, gong, mine") as told:
        Chimes(folder).get(name)
    assert (told.value.status, told.value.param) == (404, "chime")
