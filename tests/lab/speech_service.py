"""Our own service as a subprocess, the way a user runs it."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.lab.ground import REPOSITORY
from tests.lab.process import Process, free_port


class SpeechService(Process):
    """`python -m service` on a free port with its data in a folder of its own."""

    def __init__(
        self, folder: Path, token: str, *, port: int | None = None, **settings: object
    ) -> None:
        """Start it and wait until it says it is ready; players reach it at `url`.

        Args:
            folder: where data and log go.
            token: the bearer token it shall ask for; may be empty.
            port: where one was that this one comes back for; a free one when left out.
            settings: further settings by their names.
        """
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [sys.executable, "-m", "service", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--data", folder / "data"]
        command += ["--base-url", self.url]
        if token:
            command += ["--token", token]
        for name, value in settings.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        super().__init__("the service", *command, log=folder / "service.log", cwd=REPOSITORY)
        try:
            self.wait_for("readiness", self.ready, 60)
        except BaseException:
            self.stop()
            raise

    def ready(self) -> bool:
        """Whether `/ready` answers 200 and says so."""
        try:
            with urllib.request.urlopen(f"{self.url}/ready", timeout=5) as answer:
                return bool(json.load(answer)["ready"])
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        return False
