from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.import_voices import Imported, import_voices
from service.voices import VoiceStore
from tests.service.conftest import StartService
from tests.service.recordings import SAID, silence, spoken, story, wav

ROOT = Path(__file__).parents[2]


def put(folder: Path, name: str, sound: bytes, text: bytes | None) -> None:
    place = folder / name
    place.mkdir(parents=True)
    (place / "ref.wav").write_bytes(sound)
    for content in [] if text is None else [text]:
        (place / "ref.txt").write_bytes(content)


@pytest.fixture
def voices(tmp_path: Path) -> VoiceStore:
    return VoiceStore(tmp_path / "data" / "voices", ("en",), "1", "plain", lambda voice: None)


def run(folder: Path, voices: VoiceStore) -> list[Imported]:
    return list(import_voices(folder, voices))


def test_a_voice_is_imported_and_waits_for_consent(tmp_path: Path, voices: VoiceStore) -> None:
    put(tmp_path / "piper", "en_US/grandma_anna", wav(spoken()), b"\xef\xbb\xbf" + SAID.encode())
    assert [(each.voice, each.reason) for each in run(tmp_path / "piper", voices)] == [
        ("grandma-anna", "")
    ]
    voice = voices.find("grandma-anna")
    assert (voice.name, voice.languages[0], voice.usable) == ("grandma anna", "en", False)
    assert voice.facts is not None
    assert (voice.facts.transcript, voice.facts.consent) == (SAID, None)


@pytest.mark.parametrize(
    ("name", "sound", "text", "reason"),
    [
        ("de/mum", wav(spoken()), SAID.encode(), "language"),
        ("en/mum", wav(spoken()), None, "cannot be read"),
        ("en/mum", wav(spoken()), b"", "characters"),
        ("en/mum", wav(spoken()), b"\xff\xfe", "UTF-8"),
        ("en/mum", wav(spoken()), b"x" * 600, "characters"),
        ("en/mum", wav(spoken()), b"Hi.", "too short"),
        ("en/mum", wav(story()), b"It will rain in the afternoon. " * 3, "cut it to 10 s"),
        ("en/mum", wav(silence(5)), SAID.encode(), "microphone"),
        ("en/mum", b"RIFF", SAID.encode(), "not an audio file"),
        ("en/plain voice", wav(spoken()), SAID.encode(), "there is a voice called"),
    ],
)
def test_what_cannot_be_imported_is_left_out_with_a_reason(
    tmp_path: Path, voices: VoiceStore, name: str, sound: bytes, text: bytes | None, reason: str
) -> None:
    put(tmp_path / "piper", name, sound, text)
    put(tmp_path / "piper", "en/other", wav(spoken()), SAID.encode())
    imported = run(tmp_path / "piper", voices)
    left_out = [each.reason for each in imported if each.voice is None]
    assert [reason in each for each in left_out] == [True]
    assert [each.voice for each in imported if each.voice] == ["other"]


async def test_the_command_works_beside_a_running_service(
    start_service: StartService, tmp_path: Path
) -> None:
    service = await start_service()
    put(tmp_path / "piper", "en/mum", wav(spoken()), SAID.encode())
    command = [sys.executable, "-m", "service", "import-voices", str(tmp_path / "piper")]
    done = subprocess.run(  # noqa: ASYNC221
        [*command, "--data", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "en/mum is now mum." in done.stdout
    async with service.session.get(f"{service.url}/v1/voices") as response:
        listed = (await response.json())["voices"]
    assert [(each["id"], each["usable"]) for each in listed] == [("plain", True), ("mum", False)]
    async with service.post(input="Hello.", voice="mum") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (
            403,
            "consent_missing",
        )
    async with service.session.get(f"{service.url}/v1/audio/voices") as response:
        assert [each["id"] for each in (await response.json())["voices"]] == ["plain"]
    consent = {"consent_name": "Anna", "consent": True}
    async with service.session.patch(f"{service.url}/v1/voices/mum", json=consent) as response:
        assert (await response.json())["usable"] is True
    async with service.post(input="Hello.", voice="mum") as response:
        assert (response.status, len(await response.read()) > 0) == (200, True)


@pytest.mark.parametrize("arguments", [[], ["no-such-folder"], ["."]])
def test_the_command_says_when_there_is_nothing(tmp_path: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "service", "import-voices", *arguments]
    done = subprocess.run(
        [*command, *["--data", str(tmp_path)][: 2 * len(arguments)]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (1, 2)
