"""MPD, a real network player without a sound card, and a record of every sample it played."""

import socket
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.lab.ground import LabError
from tests.lab.packages import provide
from tests.lab.process import Process, free_port

SAMPLE_RATE = 48_000


@dataclass(frozen=True, slots=True)
class Played:
    """What came out of the player for one announcement."""

    samples: NDArray[np.int16]  # (samples,), mono, at SAMPLE_RATE
    first_sound: float  # seconds from the call until the first sample left the player

    @property
    def seconds(self) -> float:
        """Length of what was played."""
        return len(self.samples) / SAMPLE_RATE

    @property
    def level(self) -> float:
        """Root mean square in dB of full scale; -inf for silence."""
        square = float(np.mean((self.samples.astype(np.float64) / 32768) ** 2))
        return 10 * float(np.log10(square)) if square else float("-inf")


def provide_programs() -> None:
    """See that mpd is there, the ffmpeg that Home Assistant encodes with, and a compiler for what
    its wyoming integration needs and nobody has built; apt brings them.

    Raises:
        LabError: one is missing and cannot be installed here; says what to do.
    """
    provide("mpd", "ffmpeg", "g++")


class Player(Process):
    """MPD on a free port; plays in real time and appends every sample to a file."""

    def __init__(self, folder: Path, *, hurry: bool = False) -> None:
        """Start MPD with all its files in `folder`.

        Args:
            folder: for its settings, its log and what it played.
            hurry: play every sample as soon as it is there, where nobody waits for the time.
        """
        self.port = free_port()
        self.capture = folder / "played.s16le"
        self.capture.touch()
        settings = folder / "mpd.settings"
        settings.write_text(
            _SETTINGS.format(
                folder=folder,
                port=self.port,
                capture=self.capture,
                sync="no" if hurry else "yes",
            )
        )
        log = folder / "mpd.log"
        super().__init__("MPD", "mpd", "--no-daemon", "--stderr", settings, log=log)
        self.wait_for("control port", self._status, 60)

    def play(self, url: str) -> None:
        """Have it fetch an address and play what comes.

        Raises:
            LabError: it refuses.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(f'clear\nadd "{url}"\nplay\nclose\n'.encode())
            with line.makefile() as answer:
                said = answer.read()
        if "ACK" in said:
            raise LabError(f"the player does not play {url}: {said}")

    def await_announcement(self, since: int, called: float, seconds: float = 60) -> Played:
        """Wait until the player has played something to its end.

        Args:
            since: size of the capture in bytes before the call (`mark`).
            called: `time.monotonic()` of the call.
            seconds: patience.

        Raises:
            LabError: nothing was played, or the player reports an error.
        """
        self.wait_for("sound", lambda: self._grown(since), seconds)
        first_sound = time.monotonic() - called
        self.wait_for("end of the announcement", self._stopped, seconds)
        settled = -1
        while (size := self.mark()) != settled:
            settled = size
            time.sleep(0.1)
        sound = self.capture.read_bytes()[since:]
        return Played(np.frombuffer(sound[: len(sound) // 2 * 2], "<i2"), first_sound)

    def mark(self) -> int:
        """How many bytes have been played so far."""
        return self.capture.stat().st_size

    def volume(self) -> int:
        """0 to 100."""
        return int((self._status() or {}).get("volume", -1))

    def turn(self, volume: int) -> None:
        """Set the volume, as somebody at the player does."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(f"setvol {volume}\nclose\n".encode())
            while line.recv(4096):
                pass

    def _grown(self, since: int) -> bool:
        if error := (self._status() or {}).get("error"):
            raise LabError(f"the player could not play: {error}")
        return self.mark() > since

    def _stopped(self) -> bool:
        return (self._status() or {}).get("state") == "stop"

    def _status(self) -> dict[str, str] | None:
        """The player's own status fields; None while it is not up."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
                line.sendall(b"status\nclose\n")
                with line.makefile() as answer:
                    fields = [text.rstrip("\n").partition(": ") for text in answer]
        except OSError:
            return None
        return {key: value for key, _, value in fields}


# A null output with `sync` plays in real time; the pipe keeps what it plays.
_SETTINGS = """\
music_directory "{folder}"
playlist_directory "{folder}"
db_file "{folder}/mpd.db"
bind_to_address "127.0.0.1"
port "{port}"
log_level "verbose"
audio_output {{
  type "null"
  name "loudspeaker"
  mixer_type "software"
  sync "{sync}"
}}
audio_output {{
  type "pipe"
  name "record"
  format "48000:16:1"
  command "cat >> '{capture}'"
}}
"""
