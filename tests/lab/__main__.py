"""The laboratory by hand: `python -m tests.lab install`, `demo ["text"]`, `test`, `python`."""

import argparse
import subprocess
import sys
import wave
from pathlib import Path

from tests.lab.broker import provide_mosquitto
from tests.lab.browser import provide_chromium
from tests.lab.environments import home_assistant_python, kit_python, oldest_kit_python
from tests.lab.ground import REPOSITORY, LabError, say
from tests.lab.player import SAMPLE_RATE, provide_programs
from tests.lab.word_errors import words, wrong_words

_TEXT = "The washing machine is done, and dinner will be ready soon."


def main() -> None:
    """Read the command line and do what it says; a problem ends with a sentence and status 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="install everything the laboratory needs")
    demo = commands.add_parser("demo", help="let a real Home Assistant speak on a real player")
    demo.add_argument("text", nargs="?", default=_TEXT)
    demo.add_argument("--out", type=Path, default=Path("demo.wav"), help="where to keep the sound")
    test = commands.add_parser("test", help="run the integration's types and unit tests")
    oldest = "run the unit tests in the oldest Home Assistant that it is for, 2025.6, instead"
    test.add_argument("--oldest", action="store_true", help=oldest)
    python = commands.add_parser("python", help="print the path of an environment's interpreter")
    python.add_argument("environment", choices=("home", "kit"))
    choice = parser.parse_args()
    try:
        match choice.command:
            case "install":
                provide_programs()
                provide_mosquitto()
                provide_chromium()
                home_assistant_python()
                kit_python()
            case "demo":
                _demo(choice.text, choice.out)
            case "test":
                sys.exit(_test_in_the_oldest() if choice.oldest else _test())
            case "python":
                found = kit_python() if choice.environment == "kit" else home_assistant_python()
                print(found)
    except LabError as error:
        sys.exit(f"error: {error}")


def _test() -> int:
    """Types, then unit tests with coverage, in Home Assistant's own test kit."""
    python, integration = kit_python(), "custom_components/gptsovits_tts"
    types = [str(python), "-m", "mypy", "--python-version", "3.14", integration]
    tests = [str(python), "-m", "pytest", "-c", "tests/gptsovits_tts/pytest.ini"]
    tests += ["tests/gptsovits_tts"]
    coverage = ["--cov", integration, "--cov-fail-under", "95"]
    for command in (types, [*tests, *coverage]):
        if status := subprocess.run(command, cwd=REPOSITORY, check=False).returncode:
            return status
    return 0


def _test_in_the_oldest() -> int:
    """Unit tests, but for what only today's Home Assistant has."""
    tests = [str(oldest_kit_python()), "-m", "pytest", "-c", "tests/gptsovits_tts/pytest.ini"]
    tests += ["-q", "-m", "not newest", "tests/gptsovits_tts"]
    return subprocess.run(tests, cwd=REPOSITORY, check=False).returncode


def _demo(text: str, out: Path) -> None:
    # Needed here only: `python` and `install` must work before any of this is installed.
    from tests.lab.home import Home
    from tests.lab.listener import Listener

    with Home() as home:
        say(f"tts.speak: {text!r}")
        played = home.announce(text)
    with wave.open(str(out), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(played.samples.tobytes())
    say("listening to what the player played")
    heard = Listener().hear(played.samples, SAMPLE_RATE)
    right = len(words(text)) - wrong_words(text, heard)
    print(f"played by MPD     {played.seconds:.2f} s at {played.level:.1f} dBFS")
    print(f"first sound       {played.first_sound:.2f} s after tts.speak")
    print(f"words heard       {heard}")
    print(f"words understood  {max(0, right)} of {len(words(text))}")
    print(f"kept as           {out}")


if __name__ == "__main__":
    main()
