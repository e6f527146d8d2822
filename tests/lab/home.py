"""A home: the service, Home Assistant with our integration, and a player; all of it real."""

import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab.environments import home_assistant_python
from tests.lab.ground import LabError, lab_folder, say
from tests.lab.home_assistant import INTEGRATION, HomeAssistant
from tests.lab.player import Played, Player, provide_programs
from tests.lab.speech_service import SpeechService

TOKEN = "family-only"


class Home:
    """Everything between a text and the loudspeaker, started and stopped with the context."""

    service: SpeechService
    player: Player
    home_assistant: HomeAssistant
    tts: str
    speaker: str

    def __enter__(self) -> Self:
        """Start the three, add both integrations through their config flows."""
        provide_programs()
        home_assistant_python()
        runs = lab_folder() / "runs"
        runs.mkdir(exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="home-", dir=runs))
        with ExitStack() as stack:
            say("starting the service")
            self.service = stack.enter_context(SpeechService(self._folder, TOKEN))
            say("starting the player (MPD)")
            self.player = stack.enter_context(Player(self._folder))
            say("starting Home Assistant")
            self.home_assistant = stack.enter_context(HomeAssistant(self._folder / "config"))
            say("adding the player and the service to Home Assistant")
            player = {"host": "127.0.0.1", "port": self.player.port}
            self._add("mpd", player)
            self._add(INTEGRATION, {"host": "127.0.0.1", "port": self.service.port, "token": TOKEN})
            self.speaker = self.home_assistant.entity("media_player")
            self.tts = self.home_assistant.entity("tts")
            say(f"the house is up: {self.tts} speaks on {self.speaker}")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()
        if error is None:
            shutil.rmtree(self._folder)
        else:
            say(f"the logs stay in {self._folder}")

    def announce(self, text: str) -> Played:
        """Have Home Assistant speak `text` and return what the player really played.

        Raises:
            LabError: Home Assistant refused, or nothing was played.
        """
        since, called = self.player.mark(), time.monotonic()
        self.home_assistant.post(
            "/api/services/tts/speak",
            {"entity_id": self.tts, "media_player_entity_id": self.speaker, "message": text},
        )
        try:
            return self.player.await_announcement(since, called)
        except LabError as error:
            log = self.home_assistant.tail()
            raise LabError(f"{error}\nHome Assistant's log ends:\n{log}") from error

    def _add(self, domain: str, answers: dict[str, object]) -> None:
        step = self.home_assistant.add_integration(domain, answers)
        if step["type"] != "create_entry":
            raise LabError(f"the config flow of {domain} did not end well: {step}")
