"""`python -m service`: settings, logging, then speak until SIGTERM.

Exit status 0 after SIGTERM, 1 if it cannot start, 2 for wrong settings, 75 if it wants to be
started again because a device is lost to this process (`service/restart.py`).
`python -m service import-voices FOLDER` imports voices instead, `install-model FOLDER` installs a
model, `doctor` looks for what is wrong, `add-converter` fetches what converts official models; all
of them also beside a running service.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import signal
import sys
from pathlib import Path

from aiohttp import web

from engines.errors import EngineError
from service import converter, doctor
from service.app import DOORMAN, HEALTH, RESTART, create_app
from service.config import ConfigError, Settings, keep_private, load_settings, supervisor_token
from service.doorman import PARSER_LIMITS, GuardedSite
from service.errors import ServiceError
from service.health import Health
from service.import_voices import import_voices
from service.installed_model import check_name
from service.logs import set_up
from service.model_jobs import ModelJobs
from service.models import ModelStore
from service.restart import STATUS
from service.voices import VoiceStore

_LOGGER = logging.getLogger(__name__)
# Together less than the 40 s after which Docker and Supervisor kill.
DRAIN_SECONDS, LAST_BYTES_SECONDS = 30.0, 5.0


def main() -> int:
    """Run the service; returns the process's exit status."""
    keep_private()
    arguments = sys.argv[1:]
    if arguments[:1] == ["doctor"]:
        return doctor.main(arguments[1:])
    if arguments[:1] == ["add-converter"]:
        return _add_converter(arguments[1:])
    command = None
    if arguments[:1] and arguments[0] in COMMANDS:
        command = arguments[0]
        if len(arguments) < 2 or not Path(arguments[1]).is_dir():
            print(f"usage: python -m service {command} FOLDER [settings]", file=sys.stderr)
            return 2
        folder, arguments = Path(arguments[1]), arguments[2:]
    try:
        settings = load_settings(arguments)
    except ConfigError as error:
        print(f"settings: {error}", file=sys.stderr)
        return 2
    set_up(settings.log_level, settings.log_format, show_text=settings.log_text)
    if command is not None:
        return COMMANDS[command](folder, settings)
    try:
        return asyncio.run(_serve(settings))
    except (EngineError, OSError) as error:
        print(f"the service cannot start: {error}", file=sys.stderr)
        return 1


def _import(folder: Path, settings: Settings) -> int:
    def forget(voice: str) -> None:
        for kept in ("cache", "clips"):
            shutil.rmtree(settings.data / kept / voice, ignore_errors=True)

    voices = VoiceStore(settings.data / "voices", (), "", "plain", forget)
    made = left_out = 0
    for imported in import_voices(folder, voices):
        made += imported.voice is not None
        left_out += imported.voice is None
        outcome = f"is now {imported.voice}." if imported.voice else "left out:"
        print(f"{imported.folder.parent.name}/{imported.folder.name} {outcome} {imported.reason}")
    print(f"{made} imported, {left_out} left out.")
    if made:
        print("They are spoken once somebody confirms the person's consent, on the service's page.")
    return 0 if made else 1


def _install(folder: Path, settings: Settings) -> int:
    try:
        store = ModelStore(settings.data / "models", None)
        jobs = ModelJobs(store, settings.data / "incoming")
        return asyncio.run(_installed(folder.resolve(), jobs))
    except ServiceError as error:
        print(f"error ({error.code}): {error}", file=sys.stderr)
        return 1


async def _installed(folder: Path, jobs: ModelJobs) -> int:
    job = jobs.start_path(check_name(folder.name), folder, "fp32")
    told = ""
    while not job.ended:
        if job.message != told:
            told = job.message
            print(f"{job.stage}: {told}", flush=True)
        await asyncio.sleep(0.2)
    await jobs.wait(job)
    if job.error is not None:
        print(f"error ({job.error['code']}): {job.error['message']}", file=sys.stderr)
        return 1
    print(f"{folder.name} is installed as {job.model}; a running service sees it by itself.")
    return 0


COMMANDS = {"import-voices": _import, "install-model": _install}


def _add_converter(arguments: list[str]) -> int:
    try:
        settings = load_settings(arguments)
        print("Fetching PyTorch and onnx; this takes minutes.", flush=True)
        folder = converter.fetch(settings.data)
    except (ConfigError, converter.ConverterError, OSError) as error:
        print(f"cannot be fetched: {error}", file=sys.stderr)
        return 1
    print(f"{folder} is there: official models can be converted now.")
    return 0


async def _serve(settings: Settings) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(settings, supervisor=supervisor_token())
    # Without handler_cancellation a client that leaves before the first byte would go unnoticed.
    runner = web.AppRunner(
        app, handler_cancellation=True, shutdown_timeout=LAST_BYTES_SECONDS, **PARSER_LIMITS
    )
    await runner.setup()
    try:
        await GuardedSite(runner, settings.host, settings.port, app[DOORMAN]).start()
        for address in runner.addresses:
            _LOGGER.info("listening on http://%s:%d", *address[:2])
        waits = [asyncio.create_task(event.wait()) for event in (stop, app[RESTART])]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        await _drain(app[HEALTH])
        return STATUS if app[RESTART].is_set() and not stop.is_set() else 0
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()


async def _drain(health: Health) -> None:
    """Answer what was accepted, by whichever door; who asks now is told that the service stops."""
    health.ready, health.failure = False, "the service stops"
    queue = health.queue
    queue.refuse()
    if queue.depth:
        _LOGGER.info("stopping: %d requests are still being answered", queue.depth)
    else:
        _LOGGER.info("stopping: nobody waits for an answer")
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while not queue.idle:  # noqa: ASYNC110 - its thread tells nobody
                await asyncio.sleep(0.05)
            return
    _LOGGER.warning("stopping: %d requests are cut off after %g s", queue.depth, DRAIN_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
