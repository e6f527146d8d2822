"""Constants of the GPT-SoVITS integration."""

import logging
from datetime import timedelta
from typing import Final

DOMAIN: Final = "gptsovits_tts"
LOGGER = logging.getLogger(__package__)

DEFAULT_PORT: Final = 9880
OLDEST_SERVER: Final = "0.1.0"
SCAN_INTERVAL: Final = timedelta(seconds=30)
DEGRADED_FOR: Final = timedelta(minutes=10)
UNREACHABLE_POLLS: Final = 2
DOCUMENTATION: Final = "https://github.com/gptsovits-home/gptsovits-home"

SUBENTRY_VOICE: Final = "voice"
SIGNAL_SPOKEN: Final = "gptsovits_tts_spoken_{}"

CONF_FALLBACK_ENTITY: Final = "fallback_entity"
CONF_SAMPLING: Final = "sampling"

ATTR_CHIME: Final = "chime"
ATTR_EXPIRES: Final = "expires"
ATTR_FALLBACK: Final = "fallback"
ATTR_LANGUAGE: Final = "language"
ATTR_LEAD_IN: Final = "lead_in"
ATTR_MODEL: Final = "model"
ATTR_NORMALIZE: Final = "normalize"
ATTR_PAUSE: Final = "pause"
ATTR_PRIORITY: Final = "priority"
ATTR_REPETITION_PENALTY: Final = "repetition_penalty"
ATTR_SEED: Final = "seed"
ATTR_SPEED: Final = "speed"
ATTR_STYLE: Final = "style"
ATTR_TEMPERATURE: Final = "temperature"
ATTR_TOP_K: Final = "top_k"
ATTR_TOP_P: Final = "top_p"

PRIORITIES: Final = ["alert", "normal", "background"]
NORMALIZE: Final = ["speakable", "exact"]
FALLBACKS: Final = ["none", "cpu", "plain"]
