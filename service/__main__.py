"""`python -m service`: settings, logging, then speak until SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from aiohttp import web

from engines.errors import EngineError
from service.app import create_app
from service.config import ConfigError, Settings, load_settings

DRAIN_SECONDS = 30.0


def main() -> int:
    """Run the service; returns the process's exit status."""
    try:
        settings = load_settings(sys.argv[1:])
    except ConfigError as error:
        print(f"settings: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=settings.log_level.upper(),
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    try:
        asyncio.run(_serve(settings))
    except (EngineError, OSError) as error:
        print(f"the service cannot start: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(settings)
    # Without handler_cancellation a client that leaves before the first byte would go unnoticed.
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        for address in runner.addresses:
            logging.getLogger(__name__).info("listening on http://%s:%d", *address[:2])
        await stop.wait()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await runner.cleanup()


if __name__ == "__main__":
    sys.exit(main())
