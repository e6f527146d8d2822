"""`python -m engines calibrate MODEL`: ranges for int8 engines, from sentences that are spoken."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from engines.bert_features import BertFeatures
from engines.errors import EngineError, PromptError
from engines.model_folder import TOKENIZER, ModelFolder
from engines.progress import ProgressBar
from engines.prompt import VoicePrompt
from engines.sampling import SamplingParams
from engines.synthesizer import Synthesizer
from engines.text import phonemize

_MAX_TEXTS = 1 << 24  # bytes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("model", type=Path, help="folder that `convert` wrote, in fp32")
    parser.add_argument(
        "--texts", type=Path, required=True, help="a text file, one sentence in each line"
    )
    parser.add_argument(
        "--voices",
        type=Path,
        required=True,
        help="folder with voices of this model (.npz), also deeper",
    )
    parser.add_argument("--language", default="en", help="of the texts (default: en)")
    parser.add_argument("--threads", type=int, default=0, help="on the CPU (default: all cores)")


def run(arguments: argparse.Namespace) -> int:
    """Speak every line, in the voices by turns, and write the graphs; returns 0."""
    # Here and not above: they need onnx, and `--help` does not.
    from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
    from engines.calibrate import ADVISED, MOST_DISTANCE, Recorder, calibrate

    folder = ModelFolder.read(arguments.model)
    if folder.precision != "fp32":
        raise EngineError(f"{folder.root} is in {folder.precision}; calibrate the one in fp32")
    lines = _lines(arguments.texts)
    voices = list(_voices(arguments.voices, folder.model.identity))
    if not voices:
        raise PromptError(f"--voices: {arguments.voices} holds no voice of this model (.npz)")
    if len(lines) < ADVISED:
        print(
            f"{len(lines)} sentences, {ADVISED} are advised: with fewer, the ranges miss rare "
            "sounds, which are then cut off in loudness. The check below still decides"
        )
    recorder = Recorder(OnnxRuntimeBackend(folder.root, arguments.threads))
    synthesizer = Synthesizer(recorder, BertFeatures(recorder, folder.root / TOKENIZER))
    bar = ProgressBar()
    for number, line in enumerate(lines):
        bar(number, len(lines), "speaking")
        sentences = phonemize(line, arguments.language, folder.model.symbols)
        voice = voices[number % len(voices)]
        for _ in synthesizer.speak(sentences, voice, SamplingParams(seed=number)):
            pass
    distance = calibrate(folder, recorder.fed, bar)
    bar.clear()
    print(
        f"int8 is {distance:.2f} dB away from float32 in its spectrum (bound {MOST_DISTANCE:.1f}); "
        "its tokens are the same, they are not quantized"
    )
    print(f"next: python -m engines build {folder.root} --precision int8")
    return 0


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > _MAX_TEXTS:
            raise EngineError(f"--texts: {path} is larger than {_MAX_TEXTS} bytes")
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(f"--texts: {path} cannot be read: {error}") from error
    if not (kept := [line for line in lines if line]):
        raise EngineError(f"--texts: {path} holds no sentence")
    return kept


def _voices(folder: Path, identity: str) -> Iterator[VoicePrompt]:
    for path in sorted(folder.rglob("*.npz")):
        voice = VoicePrompt.load(path)
        if voice.model == identity:
            yield voice
