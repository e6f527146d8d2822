"""A real Node-RED with this repository's palette, driven by its admin API."""

import json
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.broker import provide_mosquitto
from tests.lab.ground import REPOSITORY, LabError, lab_folder, run
from tests.lab.npm import installed
from tests.lab.process import Process, free_port

PALETTE = REPOSITORY / "node-red-contrib-gptsovits"
# What `npm view node-red@4 engines` asks for.
_OLDEST_NODE = (18, 5)


@dataclass(frozen=True, slots=True)
class Lane:
    """One Node-RED and the Node.js that runs it.

    Attributes:
        node: the Node.js program.
        modules: the `node_modules` that Node-RED is in.
    """

    node: str
    modules: Path


def node_red_4() -> Lane:
    """Node-RED 4 on this machine's Node.js, with the test helper; npm installs it when missing.

    Raises:
        LabError: Node.js or npm is missing or too old; says what to install.
    """
    _check_node()
    wanted = json.loads((PALETTE / "package.json").read_text())["devDependencies"]
    return Lane("node", installed("node-red", **wanted))


def node_red_5() -> Lane:
    """Node-RED 5 on Node.js 24, which npm brings too; both are installed when missing.

    Raises:
        LabError: as `node_red_4`.
    """
    _check_node()
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    node = f"node-linux-{machine}"
    modules = installed("node-red-5", **{"node-red": "5.0.7", node: "24.21.0"})
    return Lane(str(modules / node / "bin" / "node"), modules)


LANES = {"4": node_red_4, "5": node_red_5}


def _check_node() -> None:
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        raise LabError(f"please install Node.js 18.5 or newer with npm: no {', '.join(missing)}")
    version = run("node", "--version").strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < _OLDEST_NODE:
        raise LabError(f"please install Node.js 18.5 or newer: this is {version}")


def run_palette_tests(lane: str) -> str:
    """Run the palette's own tests in a lane; returns their report.

    Raises:
        LabError: one failed, or Mosquitto is missing; carries the end of the report.
    """
    provide_mosquitto()
    tests = sorted((PALETTE / "test").glob("*.test.js"))
    place = LANES[lane]()
    # Where Node-RED comes first, and after it the test helper, which only one lane brings.
    modules = os.pathsep.join((str(place.modules), str(node_red_4().modules)))
    return run(place.node, "--test", *tests, cwd=PALETTE, env={"NODE_PATH": modules})


def scorecard() -> dict[str, Any]:
    """What `node-red-dev validate` says of the palette: each test by its code.

    Raises:
        LabError: it could not be run to its end.
    """
    modules = installed("node-red-dev", **{"node-red-dev": "0.1.6"})
    with tempfile.TemporaryDirectory(dir=lab_folder()) as name:
        folder = Path(name)
        (folder / "offline.js").write_text(_NO_CATALOGUE)
        card = folder / "card.json"
        program = modules / "node-red-dev" / "bin" / "run"
        preload = {"NODE_OPTIONS": f"--require {folder / 'offline.js'}"}
        run("node", program, "validate", "-p", PALETTE, "-o", card, cwd=folder, env=preload)
        found: dict[str, Any] = json.loads(card.read_text())
    return found


# The catalogue of Node-RED's site, in which names are looked up, is not asked: a test needs no
# network but the package registries.
_NO_CATALOGUE = """\
const Module = require("module");
const load = Module._load;
Module._load = function (name, ...rest) {
    const found = load.call(this, name, ...rest);
    if (name === "axios" && !found.offline) {
        const get = found.get.bind(found);
        found.offline = true;
        const empty = { status: 200, data: { modules: [] } };
        found.get = async (url, ...more) =>
            String(url).includes("catalogue") ? empty : get(url, ...more);
    }
    return found;
};
"""


class NodeRed(Process):
    """Node-RED on a free port of the loopback interface, with an empty flow.

    Args:
        folder: for its settings, flows and log.
        language: of its texts.
        lane: a key of `LANES`.
    """

    def __init__(self, folder: Path, language: str = "en-US", lane: str = "4") -> None:
        place = LANES[lane]()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        package = json.loads((PALETTE / "package.json").read_text())["name"]
        installed = folder / "node_modules" / package
        installed.parent.mkdir(parents=True)
        installed.symlink_to(PALETTE)
        user = {"name": "lab", "dependencies": {package: f"file:{os.fspath(PALETTE)}"}}
        (folder / "package.json").write_text(json.dumps(user))
        settings = {
            "uiHost": "127.0.0.1",
            "uiPort": self.port,
            "flowFile": "flows.json",
            "credentialSecret": "lab",
            "lang": language,
            "telemetry": {"enabled": False, "updateNotification": False},
            "editorTheme": {"tours": False, "palette": {"catalogues": []}},
        }
        (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};")
        program = place.modules / "node-red" / "red.js"
        log = folder / "node-red.log"
        super().__init__("Node-RED", place.node, program, "-u", folder, log=log, cwd=folder)
        try:
            self.wait_for("admin API", self._answers, 60)
        except BaseException:
            self.stop()
            raise

    def nodes(self) -> list[dict[str, Any]]:
        """The node sets that it has, each with `module`, `types`, `enabled` and perhaps `err`."""
        found: list[dict[str, Any]] = self._ask("/nodes")
        return found

    def exported(self) -> list[dict[str, Any]]:
        """All flows as the runtime gives them out."""
        flows: list[dict[str, Any]] = self._ask("/flows")
        return flows

    def credentials(self, kind: str, node: str) -> dict[str, Any]:
        """What the editor is told of a node's credentials."""
        known: dict[str, Any] = self._ask(f"/credentials/{kind}/{node}")
        return known

    def deploy(self, flow: list[dict[str, Any]]) -> None:
        """Replace all flows; what they kept is forgotten."""
        # What has no place on the canvas is taken for a config node.
        placed = [{"x": 0, "y": 0, **node} if "z" in node else node for node in flow]
        for flows in ([], placed):  # a tab that only changes keeps its context
            self._ask("/flows", flows, {"Node-RED-Deployment-Type": "full"})

    def inject(self, node: str, **properties: str) -> None:
        """Press an inject node's button; `properties` go into the message before its own."""
        given = [{"p": name, "v": text, "vt": "str"} for name, text in properties.items()]
        body = {"__user_inject_props__": given} if given else {}
        # A deployment is answered before its nodes have started.
        self.wait_for(f"node {node}", lambda: self._pressed(node, body), 60)

    def _pressed(self, node: str, body: object) -> bool:
        try:
            return bool(self._ask(f"/inject/{node}", body) == "OK")
        except LabError:
            return False

    def kept(self, key: str) -> list[dict[str, Any]]:
        """The messages that came to an ear, the oldest first."""
        messages: list[dict[str, Any]] = self._ask("/kept").get(key, [])
        return messages

    def _answers(self) -> bool:
        try:
            self._ask("/settings")
        except (OSError, ValueError):
            return False
        return True

    def _ask(self, path: str, body: object = None, headers: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        fields = {"Accept": "application/json", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, {**fields, **(headers or {})})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                raise LabError(f"{path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text[:1] in ("{", "[") else text


def ears(tab: str, *keys: str) -> list[dict[str, Any]]:
    """Nodes with these ids that keep what comes to them, and a way for `kept` to read it.

    Node-RED's own way to read a context shortens what is long.
    """
    keep = "flow.set(node.id, [...(flow.get(node.id) || []), {...msg}]);"
    read = (
        f"msg.payload = Object.fromEntries({json.dumps(keys)}.map((key) => [key, flow.get(key)]));"
    )
    ways: list[dict[str, Any]] = [
        {"id": "ears-in", "type": "http in", "url": "/kept", "method": "get", "wires": [["ears"]]},
        {"id": "ears", "type": "function", "func": f"{read} return msg;", "wires": [["ears-out"]]},
        {"id": "ears-out", "type": "http response", "wires": []},
        *({"id": key, "type": "function", "func": keep, "wires": []} for key in keys),
    ]
    return [{"z": tab, **node} for node in ways]
