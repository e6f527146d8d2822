"""GPT-SoVITS as a library: text and a voice in, audio out.

    backend = open_backend("torch", CheckpointFiles(t2s, sovits, models))
    bert = BertFeatures(backend, tokenizer)
    prompt = Enroller(backend, bert).enrol([load_recording(path)], phonemize(said, "en", symbols))
    for chunk in Synthesizer(backend, bert).speak(phonemize(text, "en", symbols), prompt):
        play(chunk.samples)

Importing this package loads nothing heavy; a name's module comes with its first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engines.audio import AudioChunk, Recording, load_recording
    from engines.backends import Backend, CheckpointFiles, Session, open_backend
    from engines.bert_features import BertFeatures
    from engines.decoders import Streaming
    from engines.errors import (
        BackendUnavailableError,
        CheckpointError,
        DeviceError,
        EngineError,
        PromptError,
        TextError,
    )
    from engines.prompt import Enroller, VoicePrompt
    from engines.sampling import SamplingError, SamplingParams
    from engines.synthesizer import Synthesizer
    from engines.text.types import PhonemizedText

__all__ = [
    "AudioChunk",
    "Backend",
    "BackendUnavailableError",
    "BertFeatures",
    "CheckpointError",
    "CheckpointFiles",
    "DeviceError",
    "EngineError",
    "Enroller",
    "PhonemizedText",
    "PromptError",
    "Recording",
    "SamplingError",
    "SamplingParams",
    "Session",
    "Streaming",
    "Synthesizer",
    "TextError",
    "VoicePrompt",
    "load_recording",
    "open_backend",
]

_HOMES = {
    "audio": ("AudioChunk", "Recording", "load_recording"),
    "backends": ("Backend", "CheckpointFiles", "Session", "open_backend"),
    "bert_features": ("BertFeatures",),
    "decoders": ("Streaming",),
    "errors": (
        "BackendUnavailableError",
        "CheckpointError",
        "DeviceError",
        "EngineError",
        "PromptError",
        "TextError",
    ),
    "prompt": ("Enroller", "VoicePrompt"),
    "sampling": ("SamplingError", "SamplingParams"),
    "synthesizer": ("Synthesizer",),
    "text.types": ("PhonemizedText",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"engines.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
