"""Mosquitto, a real MQTT broker, that can be stopped, killed and frozen."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.lab.ground import LabError, lab_folder, run, say
from tests.lab.packages import SEARCHED, provide
from tests.lab.process import Process, free_port

USER, PASSWORD = "bridge", "p4ss word"


def provide_mosquitto() -> None:
    """See that mosquitto and openssl are there; apt brings them.

    Raises:
        LabError: one is missing and cannot be installed here; says what to do.
    """
    provide("mosquitto", "openssl")


def newest_mosquitto() -> list[str]:
    """The command of a Mosquitto 2.1, unpacked from Debian 14 with its libraries; not installed.

    Raises:
        LabError: it cannot be had here; says what to do.
    """
    root = lab_folder() / "mosquitto-2.1"
    if not root.exists():
        if os.geteuid() or not shutil.which("apt-get"):
            raise LabError("unpacking Mosquitto 2.1 needs Debian and root")
        provide("mmdebstrap")
        say("unpacking Mosquitto 2.1 (65 MB, once)")
        part = Path(tempfile.mkdtemp(dir=lab_folder())) / "root"
        options = ("--variant=extract", "--include=mosquitto")
        dated = ("--aptopt", 'Acquire::Check-Valid-Until "false"')
        run("mmdebstrap", *dated, *options, "forky", part, _mirror())
        run(
            shutil.which("ldconfig", path=SEARCHED) or "ldconfig", "-r", part
        )  # not all libraries bring the links to their short names
        part.rename(root)
    library = next(root.glob("usr/lib/*-linux-gnu*"))
    loader = next(library.glob("ld-linux-*.so.*"))
    return [str(loader), "--library-path", str(library), str(root / "usr/sbin/mosquitto")]


def _mirror() -> str:
    """Where this machine has its Debian packages from."""
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian").split()
    archives = sorted(each for each in set(found) if not each.rstrip("/").endswith("security"))
    if not archives:
        raise LabError("unpacking Mosquitto 2.1 needs a Debian mirror among apt's sources")
    return archives[0]


class Broker:
    """A Mosquitto on a port of its own, with its settings and state in a folder.

    Args:
        folder: for its settings, certificates, state and log.
        password: whether it asks for `USER` and `PASSWORD`.
        tls: whether it speaks TLS, with a certificate of the authority in `authority`.
        extra: further lines of its settings.
        program: the command that starts it; the machine's own Mosquitto where none is given.
    """

    def __init__(
        self,
        folder: Path,
        *,
        password: bool = False,
        tls: bool = False,
        extra: str = "",
        program: Sequence[str] = (),
    ) -> None:
        self._program = list(program) or [shutil.which("mosquitto", path=SEARCHED) or "mosquitto"]
        self.folder = folder
        self.port = free_port()
        self.authority = folder / "ca.crt"
        folder.mkdir(parents=True, exist_ok=True)
        state = folder / "state"
        state.mkdir(exist_ok=True)
        lines = ["user root"] if os.geteuid() == 0 else []
        lines += [f"listener {self.port} 127.0.0.1", "set_tcp_nodelay true", "log_type all"]
        # What it holds is written at once: without this a killed Mosquitto forgets everything.
        lines += ["persistence true", f"persistence_location {state}/"]
        lines += ["autosave_on_changes true", "autosave_interval 1"]
        if tls:
            _certificates(folder)
            lines += [f"cafile {self.authority}", f"certfile {folder / 'server.crt'}"]
            lines += [f"keyfile {folder / 'server.key'}"]
        if password:
            secrets = folder / "passwords"
            secrets.touch(0o600)
            run("mosquitto_passwd", "-b", secrets, USER, PASSWORD)
            lines += ["allow_anonymous false", f"password_file {secrets}"]
        else:
            lines += ["allow_anonymous true"]
        self._settings = folder / "mosquitto.settings"
        self._settings.write_text("\n".join([*lines, extra, ""]))
        self.start()

    def start(self) -> None:
        """Start it, on the same port and with the state that it kept."""
        log = self.folder / "mosquitto.log"
        self._process = Process("Mosquitto", *self._program, "-c", self._settings, log=log)
        self._process.wait_for("port", self._listens, 60)

    def stop(self) -> None:
        """End it politely."""
        self._process.stop()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.signal(signal.SIGKILL)
        self._process.stop()

    def freeze(self) -> None:
        """Stop it where it is; its connections stay open."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.signal(signal.SIGCONT)

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


def _certificates(folder: Path) -> None:
    """An authority and a certificate of it for 127.0.0.1, good for a month."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n"
    (folder / "server.ext").write_text(names)
    new_key = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout")
    usage = "keyUsage=critical,keyCertSign,cRLSign"
    sign = ("x509", "-req", "-in", "server.csr", "-extfile", "server.ext", "-CA")
    commands = (
        [*new_key, "ca.key", "-x509", "-subj", "/CN=Lab", "-addext", usage, "-out", "ca.crt"],
        [*new_key, "server.key", "-subj", "/CN=localhost", "-out", "server.csr"],
        [*sign, "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-out", "server.crt"],
    )
    for command in commands:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
