"""Golden group `pipeline`: from a reference file and phones to 16-bit audio, quirks and all."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch

from engines.audio import load_recording, resample_soxr, sinc_kernel
from engines.checkpoint import load_hubert, load_sovits, load_speaker, load_t2s
from engines.golden.folder import Folder, Vectors
from engines.golden.original_loops import Tokens, mute_similarity
from engines.golden.original_pipeline import MUTE, Pipeline, Text
from engines.networks import eres2net, hubert, t2s, vits
from engines.networks.vits import Condition, Vits
from engines.prompt import HUBERT_RATE, HUBERT_SILENCE
from engines.sampling import Floats
from engines.spectra import filterbank, magnitudes

_SPECTRUM = re.compile(r"(.+)\.spec_part")
_STRIDES = re.compile(r"::(\d+), ::(\d+)")
_EVERY = re.compile(r"every (\d+)")
_LIMITED_RATE = 50  # the early stop counts 50 tokens for every second the model was trained for


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `pipeline.npz`."""
    with torch.inference_mode():
        voice = _Voices(folder)
        yield from _references(folder, vectors, voice)
        yield "mute_sim", mute_similarity(voice.t2s, MUTE)
        for name, request in json.loads(str(vectors.input("scenarios_json"))).items():
            for array, value in _scenario(voice, name, request):
                yield f"{name}.{array}", value
        if "prompt_json" in vectors:
            vectors.input("prompt_json")


def _references(folder: Folder, vectors: Vectors, voice: _Voices) -> Iterator[tuple[str, Any]]:
    for match in filter(None, map(_SPECTRUM.fullmatch, vectors.names)):
        name = match.group(1)
        spectrum = voice.spectrum(f"{name}.wav")
        strides = _STRIDES.search(folder.description("pipeline", match.group(0)))
        bins, frames = map(int, strides.groups()) if strides else (16, 16)
        yield f"{name}.spec_frames", np.array(spectrum.shape)
        yield match.group(0), spectrum[0, ::bins, ::frames]
    recording = load_recording(folder.root / "ref.wav")
    yield "ref.wav16k", resample_soxr(recording.samples, recording.sample_rate, HUBERT_RATE)
    yield "ref.prompt_semantic", voice.tokens("ref.wav", "s2_v2")
    if "v2Pro.ref16k_part" in vectors:
        every = _EVERY.search(folder.description("pipeline", "v2Pro.ref16k_part"))
        step = int(every.group(1)) if every else 64
        yield "v2Pro.ref16k_part", voice.wave16k("ref.wav")[::step]
    if "v2Pro.sv_emb" in vectors:
        yield "v2Pro.sv_emb", voice.speaker("ref.wav")


def _scenario(voice: _Voices, name: str, request: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    # A scenario of another version carries its name in front.
    prefix = f"s2_{name.split('_')[0]}"
    checkpoint = prefix if voice.has(prefix) else "s2_v2"
    main = request["ref_audio_path"]
    prompt = None
    if request["prompt_text"]:
        prompt = voice.tokens(main, checkpoint), voice.text(request["prompt_text"])
    pipeline = Pipeline(
        t2s=voice.t2s,
        vits=voice.vits(checkpoint),
        condition=voice.condition(checkpoint, [main, *request.get("aux_ref_audio_paths", [])]),
        early_stop=voice.early_stop,
        prompt=prompt,
    )
    texts = [voice.text(line) for line in request["text"].split("\n")]
    output = pipeline.run(request, texts, voice.randomness(request))
    yield "sr", np.array(voice.rate(checkpoint))
    yield "chunk_lens", np.array([len(piece) for piece in output.pieces])
    yield "audio", np.concatenate(output.pieces)
    yield "decode_lens", np.array([len(tokens) for tokens in output.decoded])
    yield "decode_tokens", np.concatenate(output.decoded)


class _Voices:
    """The folder's networks and recordings, each read once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        text = load_t2s(folder.checkpoint("s1_pipe"))
        self.t2s = t2s.load(text.config, text.weights)
        self.early_stop = _LIMITED_RATE * text.config.max_sec
        speech = load_hubert(folder.checkpoint("hubert_pipe").parent)
        self._hubert = hubert.load(speech.config, speech.weights)
        self._sovits = cache(self._read_sovits)
        self.speaker = cache(self._speaker)

    def has(self, checkpoint: str) -> bool:
        """Whether the folder can make this checkpoint."""
        return (self._folder.root / "manifests" / f"{checkpoint}.json.gz").exists()

    def vits(self, checkpoint: str) -> Vits:
        """A second stage."""
        network: Vits = self._sovits(checkpoint)[0]
        return network

    def rate(self, checkpoint: str) -> int:
        """Samples per second of a second stage."""
        rate: int = self._sovits(checkpoint)[1]
        return rate

    def condition(self, checkpoint: str, references: Sequence[str]) -> Condition:
        """What the recordings give as a voice, averaged."""
        network = self.vits(checkpoint)
        styles = []
        for name in references:
            speaker = torch.from_numpy(self.speaker(name)) if network.speaker_embedding else None
            styles.append(network.style(torch.from_numpy(self.spectrum(name)), speaker))
        return network.condition(torch.stack(styles).mean(0))

    def tokens(self, name: str, checkpoint: str) -> Tokens:
        """Semantic tokens of a recording and the zeros after it."""
        recording = load_recording(self._folder.root / name)
        wave = resample_soxr(recording.samples, recording.sample_rate, HUBERT_RATE)
        padded = np.concatenate([wave, np.zeros(HUBERT_SILENCE, np.float32)])
        features = self._hubert(torch.from_numpy(padded)[None]).transpose(1, 2)
        tokens: Tokens = self.vits(checkpoint).extract_latent(features)[0].numpy()
        return tokens

    def spectrum(self, name: str) -> Floats:
        """Spectrogram [1, 1025, frames] of a recording."""
        spectrum: Floats = magnitudes(torch.from_numpy(self._wave(name)), torch)[None].numpy()
        return spectrum

    def wave16k(self, name: str) -> Floats:
        """What the speaker network hears of a recording."""
        return _resampled(self._wave(name), 32_000, HUBERT_RATE)

    def text(self, line: str) -> Text:
        """A sentence `name:ids` of the stub front end."""
        name, ids = line.split(":")
        phones = np.array([int(i) for i in ids.split(",")], np.int64)
        bert: Floats = self._folder.recipe.fill(f"bert.{name}", (1024, len(phones)), 0.8)
        return Text(phones, bert, len(ids))

    def randomness(self, request: dict[str, Any]) -> _Recipe | _Torch:
        """`noisy` true draws from the recipe, false not at all, null from PyTorch."""
        if request["noisy"] is None:
            return _Torch(request["seed"])
        return _Recipe(self._folder, request["noisy"])

    def _wave(self, name: str) -> Floats:
        recording = load_recording(self._folder.root / name)
        return _resampled(recording.samples, recording.sample_rate, 32_000)

    def _read_sovits(self, name: str) -> tuple[Vits, int]:
        read = load_sovits(self._folder.checkpoint(name))
        return vits.load(read.config, read.weights), read.spec.decoder.sample_rate

    def _speaker(self, name: str) -> Floats:
        network = eres2net.load(load_speaker(self._folder.checkpoint("full_sv")))
        fbank = filterbank(torch.from_numpy(self.wave16k(name)), torch)
        return np.asarray(network(fbank[None]).numpy())


def _resampled(samples: Floats, rate: int, target: int) -> Floats:
    """`engines.audio.resample_sinc`, rounded as PyTorch rounds a convolution.

    The speaker network makes a hundred times more of a difference in the last bit.
    """
    if rate == target:
        return samples
    common = math.gcd(rate, target)
    before, after = rate // common, target // common
    kernel, width = sinc_kernel(before, after)
    taps = torch.from_numpy(np.ascontiguousarray(kernel))[:, None]
    padded = torch.from_numpy(np.pad(samples, (width, width + before)))
    phases = torch.nn.functional.conv1d(padded[None, None], taps, stride=before)[0]
    resampled: Floats = phases.T.reshape(-1)[: math.ceil(after * len(samples) / before)].numpy()
    return resampled


class _Recipe:
    """Noise of the folder's number formula, numbered in the order it is drawn; or none."""

    def __init__(self, folder: Folder, noisy: bool) -> None:
        self._fill = folder.recipe.fill
        self._noisy = noisy
        self._tokens = 0
        self._priors = 0

    def exponential(self, shape: tuple[int, int]) -> Floats:
        """See `Randomness`."""
        key = f"q{self._tokens}"
        self._tokens += 1
        made: Floats = self._fill(key, shape, 0.49, 0.5)
        return made if self._noisy else np.ones(shape, np.float32)

    def normal(self, shape: tuple[int, int, int]) -> Floats:
        """See `Randomness`."""
        key = f"z{self._priors}"
        self._priors += 1
        made: Floats = self._fill(key, shape, 1.7)
        return made if self._noisy else np.zeros(shape, np.float32)


class _Torch:
    """PyTorch's CPU generator, seeded as the original seeds it."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def exponential(self, shape: tuple[int, int]) -> Floats:
        """See `Randomness`."""
        drawn = torch.empty(shape).exponential_(1, generator=self._generator)
        return np.asarray(drawn.numpy())

    def normal(self, shape: tuple[int, int, int]) -> Floats:
        """See `Randomness`."""
        return np.asarray(torch.randn(shape, generator=self._generator).numpy())
