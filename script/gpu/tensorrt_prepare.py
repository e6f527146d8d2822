"""Full-size models of random weights, and what PyTorch makes of them: `tensorrt_prepare.py ROOT`.

Runs where PyTorch is, so that TensorRT can be measured where it is not. Into ROOT/models go the
converted models; into ROOT/reference, of each: `voice.npz`, `reference.npz` (greedy tokens of 40
sentences, logits after given tokens, samples of given tokens) and `torch.json` (its figures).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from tensorrt_job import GREEDY_SLOTS, SPOKEN, greedy_tokens, utterance_of, voice_of

FULL = {"v2": ("full_s1", "full_s2_v2"), "v2ProPlus": ("full_s1", "full_s2_v2ProPlus")}
TINY = {"v2": ("s1_pipe", "s2_v2"), "v2ProPlus": ("s1_pipe", "s2_v2Pro")}
"""Model → its two checkpoints by the recipe of `tests/golden`."""
RANGES = 9
"""Sentences of a calibration; the speed does not depend on it."""


def convert_one(root: Path, version: str, t2s: str, sovits: str) -> None:
    """A converted model; small networks stand in for those that only enrol."""
    from engines.backends import CheckpointFiles
    from engines.export import convert
    from engines.golden import Folder

    folder = Folder(root / "src/tests/golden", root / "checkpoints")
    models = root / "checkpoints" / f"models-{version}"
    for name, stored in (("chinese-hubert-base", "hubert_pipe"), ("sv", "sv_tiny")):
        shutil.copytree(folder.checkpoint(stored).parent, models / name, dirs_exist_ok=True)
    files = CheckpointFiles(folder.checkpoint(t2s), folder.checkpoint(sovits), models)
    began = time.monotonic()
    convert(files, root / "models" / version)
    print(f"{version}: converted in {time.monotonic() - began:.0f} s", flush=True)


def reference(root: Path, version: str, device: str, runs: int, tiny: bool) -> None:
    """What PyTorch says and needs; on a card without the rounding of TF32."""
    import torch

    from engines.backends import CheckpointFiles
    from engines.backends.torch_backend import TorchBackend
    from engines.bench import measure
    from engines.decoders import VitsDecoder
    from engines.golden import Folder
    from engines.token_drift import record_logits

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    folder = Folder(root / "src/tests/golden", root / "checkpoints")
    t2s, sovits = (folder.checkpoint(name) for name in (TINY if tiny else FULL)[version])
    backend = TorchBackend(
        CheckpointFiles(t2s, sovits, root / "checkpoints" / f"models-{version}"), device
    )
    kept = root / "reference" / version
    kept.mkdir(parents=True, exist_ok=True)
    voice = voice_of(backend)
    voice.save(kept / "voice.npz")
    vits = VitsDecoder(backend)
    sounds = [vits.whole(*utterance_of(backend.model, voice, seed)) for seed in range(SPOKEN)]
    logits, tokens = record_logits(backend)
    greedy = greedy_tokens(backend, GREEDY_SLOTS)
    np.savez(kept / "reference.npz", sounds=sounds, logits=logits, tokens=tokens, greedy=greedy)
    [figures] = measure({f"torch-{device}": backend}, runs)
    if device == "cuda":
        figures.memory["gpu_mib"] = torch.cuda.max_memory_reserved() / 2**20
    (kept / "torch.json").write_text(json.dumps(asdict(figures)))
    print(f"{version}: {json.dumps(figures.summary())}", flush=True)


def calibrated(root: Path, version: str) -> None:
    """Graphs in 8 bits, with ranges from random sentences; noted apart where it is refused."""
    from engines.backends.onnxruntime_backend import OnnxRuntimeBackend
    from engines.calibrate import Recorder, calibrate
    from engines.decoders import VitsDecoder
    from engines.model_folder import ModelFolder
    from engines.prompt import VoicePrompt

    folder = ModelFolder.read(root / "models" / version)
    recorder = Recorder(OnnxRuntimeBackend(folder.root))
    voice = VoicePrompt.load(root / "reference" / version / "voice.npz")
    vits = VitsDecoder(recorder)
    for seed in range(RANGES):
        vits.whole(*utterance_of(recorder.model, voice, seed + SPOKEN))
    began = time.monotonic()
    cost = calibrate(folder, recorder.fed)
    took = time.monotonic() - began
    print(f"{version}: calibrated in {took:.0f} s, {cost.distance:.2f} dB", flush=True)


def main() -> int:
    """Convert side by side, then measure one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--tiny", action="store_true", help="a trial: tiny networks")
    known = (*FULL, "tiny")
    parser.add_argument("--models", nargs="+", default=["tiny", *FULL], choices=known)
    parser.add_argument(
        "--only", choices=("convert", "reference", "calibrate"), help="a part of it"
    )
    given = parser.parse_args()
    from engines.golden import Folder

    if given.only == "calibrate":
        for name in given.models:
            calibrated(given.root, name)
        return 0
    folder = Folder(given.root / "src/tests/golden", given.root / "checkpoints")
    chosen = {"tiny": TINY["v2"], **(TINY if given.tiny else FULL)}
    (given.root / "models").mkdir(exist_ok=True)
    if given.only == "reference":
        for name in given.models:
            reference(given.root, name, given.device, given.runs, given.tiny)
            (given.root / f"prepared-{name}").touch()
        return 0
    # What several processes read is written before they begin.
    for name in ("hubert_pipe", "sv_tiny", *{chosen[model][0] for model in given.models}):
        folder.checkpoint(name)
    jobs = [(given.root, name, *chosen[name]) for name in given.models]
    processes = [get_context("spawn").Process(target=convert_one, args=job) for job in jobs]
    for process in processes:
        process.start()
    # The first model's figures are wanted before the second is converted.
    for name, process in zip(given.models, processes, strict=True):
        process.join()
        if process.exitcode:
            print(f"FAILED: {name} was not converted", flush=True)
            continue
        if name != "tiny" and given.only is None:
            reference(given.root, name, given.device, given.runs, given.tiny)
            (given.root / f"prepared-{name}").touch()
    print("OK: prepared", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
