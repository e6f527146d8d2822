"""A process that enrols, renames, re-records and deletes voices is killed at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from service.voices import VoiceStore

ROOT = Path(__file__).parents[2]
ROUNDS = 15
NAMES = {f"Voice {number}" for number in range(3)}
WORK = """
import itertools, sys
from pathlib import Path
from dataclasses import replace
from service.voices import VoiceStore
from tests.service.test_voices import MUM, OTHER_TONE, TONE

store = VoiceStore(Path(sys.argv[1]), ("en",), "1", "plain", lambda voice: None)
print("ready", flush=True)
for number in itertools.count():
    name = f"Voice {number % 3}"
    for voice in store.all():
        if voice.name in (name, f"{name} renamed"):
            store.delete(voice.id)
    made = store.enrol(replace(MUM, name=name), TONE)
    store.keep_prompt(made, "model", b"prompt" * 1000)
    store.change(made.id, replace(MUM, name=f"{name} renamed"))
    store.change(made.id, replace(MUM, name=name, transcript=f"Number {number}."))
    store.rerecord(made.id, replace(MUM, name=name), OTHER_TONE)
"""


@pytest.mark.slow
def test_every_kill_leaves_whole_voices(tmp_path: Path) -> None:
    folder = tmp_path / "voices"
    moments = random.Random(1)
    counts = set()
    for _ in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", WORK, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
        ) as worker:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
            time.sleep(moments.uniform(0.0, 0.25))
            worker.kill()
        left = {path.name for path in folder.iterdir()}
        store = VoiceStore(folder, ("en",), "1", "plain", lambda voice: None)
        ids = {voice.id for voice in store.all()} - {"plain"}
        assert {path.name for path in folder.iterdir()} == {".lock", *ids}
        assert {store.get(voice_id).name.removesuffix(" renamed") for voice_id in ids} <= NAMES
        assert {len(store.reference(voice_id)) for voice_id in ids} <= {128_044, 160_044}
        assert ids <= {"voice-0", "voice-1", "voice-2"}
        counts.add(len(left) - len(ids))
    assert max(counts) > 1  # some kill did hit in the middle
