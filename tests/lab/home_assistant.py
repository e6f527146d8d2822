"""A real Home Assistant: installed, started empty, owned by a test user, spoken to over REST."""

import asyncio
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from tests.lab.environments import home_assistant_python
from tests.lab.ground import REPOSITORY, LabError
from tests.lab.home_assistant_socket import HomeSocket
from tests.lab.process import Process, free_port

INTEGRATION = "gptsovits_tts"


class HomeAssistant(Process):
    """Home Assistant on a free port of the loopback interface with our integration linked in."""

    def __init__(self, folder: Path, more: str = "", internal_port: int | None = None) -> None:
        """Start it with a fresh configuration in `folder` and wait until it runs.

        Args:
            folder: where its configuration goes.
            more: YAML for what it loads beside the few integrations that every test wants.
            internal_port: where players shall fetch what it plays; its own when left out.
        """
        self.port = port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        internal = f"http://127.0.0.1:{internal_port or port}"
        self.token = ""
        self.granted: dict[str, Any] = {}  # what a browser keeps of a login
        custom = folder / "custom_components"
        custom.mkdir(parents=True)
        (custom / INTEGRATION).symlink_to(REPOSITORY / "custom_components" / INTEGRATION)
        (folder / "configuration.yaml").write_text(
            _CONFIGURATION.format(url=self.url, internal=internal, port=port) + more
        )
        hass = home_assistant_python().with_name("hass")
        log = folder / "hass.log"
        super().__init__("Home Assistant", hass, "-c", folder, "--skip-pip", log=log)
        try:
            self.wait_for("web server", self._onboarding, 300)
            self.token = self._log_in()
            self.wait_for("running state", self._running, 180)
        except BaseException:
            self.stop()
            raise

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST JSON and return the JSON answer.

        Raises:
            LabError: any answer but success; carries what Home Assistant said.
        """
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return self._ask(
            urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        )

    def get(self, path: str) -> Any:
        """GET a JSON answer; errors as `post`."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self._ask(urllib.request.Request(self.url + path, headers=headers))

    def delete(self, path: str) -> Any:
        """DELETE something; errors as `post`."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return self._ask(urllib.request.Request(self.url + path, headers=headers, method="DELETE"))

    def add_integration(self, domain: str, answers: dict[str, Any]) -> dict[str, Any]:
        """Walk the config flow of `domain`: open the form, send `answers`, return the last step."""
        return self.walk("flow", domain, answers)

    def walk(self, kind: str, handler: object, answers: dict[str, Any]) -> dict[str, Any]:
        """Walk a flow of one form, and return the last step.

        Args:
            kind: `flow` for a config flow, `options/flow`, or `subentries/flow`.
            handler: the domain, the entry's id, or that and the kind of subentry.
            answers: what is filled in.
        """
        path = f"/api/config/config_entries/{kind}"
        form = self.post(path, {"handler": handler})
        step: dict[str, Any] = self.post(f"{path}/{form['flow_id']}", answers)
        return step

    def ask(self, command: str, **fields: Any) -> Any:
        """The result of one WebSocket command; errors as `post`."""

        async def once() -> Any:
            async with HomeSocket(self.url, self.token) as socket:
                return await socket.ask(command, **fields)

        return asyncio.run(once())

    def state(self, entity_id: str) -> dict[str, Any] | None:
        """An entity's state and attributes, None while there is no such entity."""
        states = self.get("/api/states")
        return next((state for state in states if state["entity_id"] == entity_id), None)

    def entity(self, platform: str) -> str:
        """The id of the one entity of a platform, such as `tts`, once it is there."""

        def find() -> str | None:
            names = (state["entity_id"] for state in self.get("/api/states"))
            return next((name for name in names if name.startswith(f"{platform}.")), None)

        return self.wait_for(f"{platform} entity", find, 30)

    def _ask(self, request: urllib.request.Request) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace")[:500]
            raise LabError(f"{request.full_url} answered {error.code}: {said}") from error
        except OSError as error:
            raise LabError(f"{request.full_url} did not answer: {error}") from error
        return json.loads(text) if text else None

    def _onboarding(self) -> bool:
        try:
            return bool(self.get("/api/onboarding"))
        except LabError:
            return False

    def _running(self) -> bool:
        return bool(self.get("/api/config")["state"] == "RUNNING")

    def _log_in(self) -> str:
        """Make the owner; the rest of onboarding would add integrations that want the internet."""
        client = self.url + "/"
        owner = {"name": "Lab", "username": "lab", "password": "only-for-tests", "language": "en"}
        made = self.post("/api/onboarding/users", {"client_id": client, **owner})
        form = {
            "grant_type": "authorization_code",
            "client_id": client,
            "code": made["auth_code"],
        }
        self.granted = self._ask(
            urllib.request.Request(f"{self.url}/auth/token", urllib.parse.urlencode(form).encode())
        )
        return str(self.granted["access_token"])


_CONFIGURATION = """\
homeassistant:
  name: Laboratory
  internal_url: "{internal}"
  external_url: "{url}"
  country: US
  language: en
  time_zone: UTC
  unit_system: metric
  currency: USD
  latitude: 0
  longitude: 0
  elevation: 0
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
diagnostics:
frontend:
media_source:
onboarding:
system_health:
tts:
logger:
  default: info
"""
