"""A house that can be broken: the service and its player, another engine, Home Assistant."""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.lab.environments import home_assistant_python
from tests.lab.ground import REPOSITORY, LabError, lab_folder
from tests.lab.home_assistant import INTEGRATION, HomeAssistant
from tests.lab.player import Played, Player, provide_programs
from tests.lab.process import free_port
from tests.lab.speech_service import SpeechService

T = TypeVar("T")
TTS = "tts.family_voices_speech"
OTHER_TTS = "tts.gptsovits"
SPEAKER = "media_player.music_player_daemon"
LAST = "event.family_voices_last_announcement"
READY = "binary_sensor.family_voices_ready"
DEGRADED = "binary_sensor.family_voices_below_its_best"
PATIENCE = 120.0  # seconds
_PAUSE = 0.5  # seconds between two looks
_MORE = """\
assist_pipeline:
automation: !include automations.yaml
repairs:
"""


class FullHouse:
    """The service with a token, a second one that Home Assistant knows by Wyoming, and MPD.

    Args:
        token: what the service asks for.
        internal_port: where players find Home Assistant, if not at its own port.

    Attributes:
        entry: id of the service's config entry.
    """

    def __init__(self, token: str, internal_port: int | None = None) -> None:
        self.token = token
        self._internal_port = internal_port

    def __enter__(self) -> Self:
        provide_programs()
        home_assistant_python()
        runs = lab_folder() / "runs"
        runs.mkdir(exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix="full-house-", dir=runs))
        with ExitStack() as stack:
            self._stack = stack
            self.service = self._serve(None)
            wyoming = free_port()
            stack.enter_context(SpeechService(self._folder / "other", "", wyoming_port=wyoming))
            self.player = stack.enter_context(Player(self._folder))
            config = self._folder / "config"
            shutil.copytree(REPOSITORY / "blueprints", config / "blueprints")
            (config / "automations.yaml").touch()
            self.home = stack.enter_context(HomeAssistant(config, _MORE, self._internal_port))
            self._add("mpd", self.player.port)
            self._add("wyoming", wyoming)
            self._add(INTEGRATION, self.service.port, token=self.token)
            entries = self.home.get(f"/api/config/config_entries/entry?domain={INTEGRATION}")
            self.entry = str(entries[0]["entry_id"])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stack.close()
        shutil.rmtree(self._folder)

    def restart_service(self, **settings: object) -> None:
        """Bring the service back where it was, with its data and perhaps other settings."""
        self.service.stop()
        self.service = self._serve(self.service.port, **settings)

    def hear(self, action: str, fields: dict[str, Any]) -> tuple[Played, Any]:
        """Call an action that speaks on the player; what was played, and what the action said.

        Raises:
            LabError: the action failed, or nothing was played.
        """
        since, called = self.player.mark(), monotonic()
        domain, name = action.split(".")
        more = "?return_response" if domain == INTEGRATION else ""
        answer = self.home.post(f"/api/services/{domain}/{name}{more}", fields)
        try:
            return self.player.await_announcement(since, called), answer
        except LabError as error:
            raise LabError(f"{error}\nHome Assistant's log ends:\n{self.home.tail()}") from error

    def announce(self, text: str, **fields: Any) -> tuple[Played, dict[str, Any]]:
        """Speak by our own action; what was played, and what it answered."""
        fields = {"entity_id": SPEAKER, "text": text, **fields}
        played, answer = self.hear(f"{INTEGRATION}.announce", fields)
        return played, answer["service_response"]

    def until(self, what: str, probe: Callable[[], T | None], *, refresh: str = "") -> T:
        """Look until `probe` answers something that is not None or False.

        Args:
            what: that is waited for, for the message.
            refresh: an entity that Home Assistant is asked to bring up to date meanwhile, so that
                nobody has to wait for its next poll.

        Raises:
            LabError: it did not come about.
        """
        end = monotonic() + PATIENCE
        while monotonic() < end:
            if refresh:
                self.home.post("/api/services/homeassistant/update_entity", {"entity_id": refresh})
            if (answer := probe()) is not None and answer is not False:
                return answer
            sleep(_PAUSE)
        raise LabError(f"no {what}; Home Assistant's log ends:\n{self.home.tail()}")

    def shows(self, entity_id: str) -> str | None:
        """An entity's state, None while there is no such entity."""
        state = self.home.state(entity_id)
        return str(state["state"]) if state else None

    def issues(self) -> list[str]:
        """The translation keys of our open repair issues."""
        listed = self.home.ask("repairs/list_issues")["issues"]
        return [issue["translation_key"] for issue in listed if issue["domain"] == INTEGRATION]

    def _serve(self, port: int | None, **settings: object) -> SpeechService:
        service = SpeechService(self._folder / "service", self.token, port=port, **settings)
        return self._stack.enter_context(service)

    def _add(self, domain: str, port: int, **answers: object) -> None:
        step = self.home.add_integration(domain, {"host": "127.0.0.1", "port": port, **answers})
        if step["type"] != "create_entry":
            raise LabError(f"the config flow of {domain} did not end well: {step}")
