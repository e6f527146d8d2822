"""Constants of the GPT-SoVITS integration."""

import logging
from datetime import timedelta
from typing import Final

DOMAIN: Final = "gptsovits_tts"
LOGGER = logging.getLogger(__package__)

DEFAULT_PORT: Final = 9880
SCAN_INTERVAL: Final = timedelta(seconds=30)

ATTR_SPEED: Final = "speed"
