"""`python -m engines say`: speak a text in a voice, from a model to a WAV file."""

from __future__ import annotations

import argparse
import importlib
import logging
import time
import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engines.backends import Backend, CheckpointFiles, open_backend
from engines.errors import EngineError
from engines.model_folder import DRAWN, TOKENIZER, ModelFolder
from engines.sampling import SamplingParams

if TYPE_CHECKING:
    from engines.prompt import VoicePrompt
    from engines.synthesizer import Synthesizer
    from engines.text.types import PhonemizedText

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    model = parser.add_argument_group("model", "a converted model, or three official places")
    model.add_argument("--model", type=Path, help="folder that `convert` wrote")
    add_checkpoint_arguments(model)
    model.add_argument(
        "--backend", help="who runs it (default: onnxruntime for a converted model, else torch)"
    )
    voice = parser.add_argument_group("voice")
    voice.add_argument(
        "--reference",
        type=Path,
        required=True,
        action="append",
        help="recording of the voice, 3 to 10 s; more of them lend their style",
    )
    voice.add_argument("--reference-text", default="", help="what the first recording says")
    voice.add_argument("--reference-language", help="its language (default: the text's)")
    text = parser.add_argument_group("text")
    text.add_argument("--text", required=True, help="what to say")
    text.add_argument("--language", required=True, help="zh, en, ja, ko, yue, or auto")
    text.add_argument("--out", type=Path, required=True, help="WAV file to write")
    how = parser.add_argument_group("how")
    how.add_argument("--top-k", type=int, help="default of this and the next three: the model's")
    how.add_argument("--top-p", type=float)
    how.add_argument("--temperature", type=float)
    how.add_argument("--repetition-penalty", type=float)
    how.add_argument("--speed", type=float)
    how.add_argument("--seed", type=int, help="-1 (the default): a new one every time")
    how.add_argument("--slots", type=int, default=1, help="sentences read side by side")


def add_checkpoint_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare where official files lie."""
    group.add_argument("--t2s", type=Path, help="text-to-semantic .ckpt")
    group.add_argument("--sovits", type=Path, help="SoVITS .pth")
    group.add_argument(
        "--models",
        type=Path,
        help="folder of chinese-hubert-base, chinese-roberta-wwm-ext-large (Chinese), sv (Pro)",
    )


def checkpoint_files(arguments: argparse.Namespace) -> CheckpointFiles:
    """The official files that were named.

    Raises:
        EngineError: one of the three was not.
    """
    if None in (arguments.t2s, arguments.sovits, arguments.models):
        raise EngineError("--t2s, --sovits and --models: all three are needed")
    return CheckpointFiles(arguments.t2s, arguments.sovits, arguments.models)


def run(arguments: argparse.Namespace) -> int:
    """Speak and write the file; returns 0."""
    # Here and not above, so that `--help` answers without them.
    from engines.audio import load_recording
    from engines.bert_features import BertFeatures
    from engines.prompt import Enroller, closed_text
    from engines.synthesizer import Synthesizer

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if not arguments.out.parent.is_dir():
        raise EngineError(f"--out: there is no folder {arguments.out.parent}")
    params = _params(arguments).with_seed()
    recordings = [load_recording(path) for path in arguments.reference]
    backend, tokenizer = _open(arguments)
    symbols = backend.model.symbols
    sentences = _phonemize(arguments.text, arguments.language, symbols)
    spoken_in = arguments.reference_language or arguments.language
    closed = closed_text(arguments.reference_text, spoken_in)
    said = _phonemize(closed, spoken_in, symbols) if closed else []
    bert = BertFeatures(backend, tokenizer)
    prompt = Enroller(backend, bert).enrol(recordings, said)
    _write(arguments.out, Synthesizer(backend, bert, arguments.slots), sentences, prompt, params)
    return 0


def _open(arguments: argparse.Namespace) -> tuple[Backend, Path]:
    """The model that was named, and the tokenizer beside it."""
    if arguments.model is None:
        files = checkpoint_files(arguments)
        return open_backend(arguments.backend or "torch", files), files.tokenizer
    backend = open_backend(arguments.backend or "onnxruntime", arguments.model)
    return backend, arguments.model / TOKENIZER


def _params(arguments: argparse.Namespace) -> SamplingParams:
    """What was named; for the rest, what the model says."""
    usual = SamplingParams()
    if arguments.model is not None:
        usual = ModelFolder.read(arguments.model).sampling
    named = {name: getattr(arguments, name) for name in (*DRAWN, "speed", "seed")}
    return replace(usual, **{name: value for name, value in named.items() if value is not None})


def _phonemize(text: str, language: str, symbols: str) -> list[PhonemizedText]:
    front_end = importlib.import_module("engines.text")
    sentences: list[PhonemizedText] = front_end.phonemize(text, language, symbols)
    return sentences


def _write(
    out: Path,
    synthesizer: Synthesizer,
    sentences: list[PhonemizedText],
    prompt: VoicePrompt,
    params: SamplingParams,
) -> None:
    started = time.monotonic()
    # All of it first: a file exists only when everything was said.
    chunks = list(synthesizer.speak(sentences, prompt, params))
    seconds = time.monotonic() - started
    rate = synthesizer.model.sample_rate
    with wave.open(str(out), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        for chunk in chunks:
            file.writeframesraw(chunk.pcm16())
    _LOG.info(
        "%s: %.2f s of speech in %.2f s, model %s, seed %d",
        out,
        sum(len(chunk.samples) for chunk in chunks) / rate,
        seconds,
        synthesizer.model.version,
        params.seed,
    )
