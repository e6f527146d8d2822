"""The networks as graphs: names, inputs and outputs, the one table that every backend follows.

Graphs of the stage "enrol" run once for a voice, those of "speak" for every sentence. All shapes
of outputs follow from the shapes of inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FRAMES_PER_TOKEN = 2
"""Latent frames of one semantic token; there are 25 tokens in a second of speech."""

GENERATOR_CONTEXT = 12
"""Latent frames beyond which a sample does not depend on the generator's input."""

NOISE_SCALE = 0.5
"""How far the prior's noise reaches, the original's."""

SPEAKER_WIDTH = 20480
"""Numbers in the speaker network's embedding."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The numbers of a model that those who run it must know.

    Attributes:
        version: name of the model's version, for people.
        symbols: which table of phone symbols it speaks.
        identity: changes when the weights change; a voice prompt belongs to one identity.
        sample_rate: of its audio, in Hz.
        hop: samples of one latent frame.
        latent: channels of the latent.
        style: channels of the style vector.
        text_style: channels of the style that the text encoder sees.
        flow_style: channels of the style that the flow sees, all couplings together.
        voice_style: channels of the style that the generator sees.
        speaker_embedding: whether the style needs a speaker embedding.
        spectrum: bins of the reference spectrogram.
        vocabulary: semantic tokens, the end token (the last) included.
        codes: rows of the decoder's codebook; tokens below are audible.
        phones: how many phone ids are known to both networks.
        layers: blocks of the text-to-semantic network.
        heads: its attention heads.
        head_size: its channels per head.
        max_tokens: after so many tokens a sentence is ended.
        hubert_width: channels of the HuBERT features.
        bert_width: channels of the BERT features.
    """

    version: str
    symbols: str
    identity: str
    sample_rate: int
    hop: int
    latent: int
    style: int
    text_style: int
    flow_style: int
    voice_style: int
    speaker_embedding: bool
    spectrum: int
    vocabulary: int
    codes: int
    phones: int
    layers: int
    heads: int
    head_size: int
    max_tokens: int
    hubert_width: int = 768
    bert_width: int = 1024

    @property
    def samples_per_token(self) -> int:
        """Samples of one semantic token at normal speed."""
        return self.hop * FRAMES_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Axis:
    """A size that differs from run to run.

    Attributes:
        name: the same name within a graph is the same size.
        min: smallest size that is asked for.
        opt: the size to be fastest at.
        max: largest size that is asked for.
    """

    name: str
    min: int
    opt: int
    max: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output of a graph: name, numpy type, and sizes."""

    name: str
    dtype: Literal["float32", "int64"]
    shape: tuple[int | Axis, ...]

    def fits(self, shape: Sequence[int], sizes: dict[str, int]) -> bool:
        """Whether an array of this shape can be fed, given (and noting) the sizes seen so far."""
        if len(shape) != len(self.shape):
            return False
        return all(
            size == (sizes.setdefault(axis.name, size) if isinstance(axis, Axis) else axis)
            for size, axis in zip(shape, self.shape, strict=True)
        )

    def axes(self) -> str:
        """The shape in words, for messages."""
        names = (axis.name if isinstance(axis, Axis) else str(axis) for axis in self.shape)
        return f"({', '.join(names)})"


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """One network that is run."""

    name: str
    stage: Literal["enrol", "speak"]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


SAMPLES = Axis("samples", 400, 16_000 * 5, 16_000 * 11)
SPEECH = Axis("speech", 1, 250, 550)  # HuBERT frames, 50 a second
FBANK = Axis("fbank", 1, 500, 1000)
SPECTRUM = Axis("spectrum", 1, 250, 501)
PROMPT = Axis("prompt", 0, 125, 265)
PHONES = Axis("phones", 1, 120, 1024)
TEXT = Axis("text", 1, 60, 512)
PIECES = Axis("pieces", 3, 32, 512)  # BERT's word pieces
SLOTS = Axis("slots", 1, 1, 16)
CACHE = Axis("cache", 2, 512, 3072)
TOKENS = Axis("tokens", 1, 100, 1500)
FRAMES = Axis("frames", 1, 200, 12_001)
HEARD = Axis("heard", 1, 200, 1024)  # the generator's; longer sentences are cut, see decoders.py


def graphs(model: ModelFacts) -> dict[str, GraphSpec]:
    """Every graph of a model by name."""
    table = (*_enrol(model), *_text(model), *_semantic(model), *_speech(model))
    return {graph.name: graph for graph in table}


def _floats(name: str, *shape: int | Axis) -> TensorSpec:
    return TensorSpec(name, "float32", shape)


def _ids(name: str, *shape: int | Axis) -> TensorSpec:
    return TensorSpec(name, "int64", shape)


def _enrol(model: ModelFacts) -> tuple[GraphSpec, ...]:
    features = _floats("features", 1, model.hubert_width, SPEECH)
    spectrum = _floats("spectrum", 1, model.spectrum, SPECTRUM)
    embedding = _floats("embedding", 1, SPEAKER_WIDTH)
    style = _floats("style", 1, model.style, 1)
    hubert = GraphSpec("hubert", "enrol", (_floats("wave", 1, SAMPLES),), (features,))
    quantize = GraphSpec("quantize", "enrol", (features,), (_ids("codes", 1, TOKENS),))
    condition = GraphSpec(
        "condition",
        "enrol",
        (style,),
        (
            _floats("text_style", 1, model.text_style, 1),
            _floats("flow_style", 1, model.flow_style, 1),
            _floats("voice_style", 1, model.voice_style, 1),
        ),
    )
    if not model.speaker_embedding:
        return (hubert, quantize, GraphSpec("style", "enrol", (spectrum,), (style,)), condition)
    speaker = GraphSpec("speaker", "enrol", (_floats("fbank", 1, FBANK, 80),), (embedding,))
    styled = GraphSpec("style", "enrol", (spectrum, embedding), (style,))
    return (hubert, quantize, speaker, styled, condition)


def _text(model: ModelFacts) -> tuple[GraphSpec, ...]:
    features = _floats("features", 1, PIECES, model.bert_width)
    return (GraphSpec("bert", "speak", (_ids("pieces", 1, PIECES),), (features,)),)


def _semantic(model: ModelFacts) -> tuple[GraphSpec, ...]:
    cache = (model.layers, SLOTS, model.heads, CACHE, model.head_size)
    keys, values = _floats("keys", *cache), _floats("values", *cache)
    sentence = (
        _ids("phones", 1, PHONES),
        _floats("bert", 1, model.bert_width, PHONES),
        _ids("prompt", 1, PROMPT),
        _ids("slot", 1),
    )
    step = (_ids("token", SLOTS), _ids("position", SLOTS), _ids("length", SLOTS))
    return (
        GraphSpec(
            "t2s_prefill",
            "speak",
            (*sentence, keys, values),
            (_floats("logits", 1, model.vocabulary), keys, values),
        ),
        GraphSpec(
            "t2s_decode",
            "speak",
            (*step, keys, values),
            (_floats("logits", SLOTS, model.vocabulary), keys, values),
        ),
    )


def _speech(model: ModelFacts) -> tuple[GraphSpec, ...]:
    mean, log_deviation, noise = (
        _floats(name, 1, model.latent, FRAMES) for name in ("mean", "log_deviation", "noise")
    )
    return (
        GraphSpec(
            "vits_encode",
            "speak",
            (
                _ids("codes", 1, TOKENS),
                _ids("phones", 1, TEXT),
                _floats("text_style", 1, model.text_style, 1),
            ),
            (mean, log_deviation),
        ),
        GraphSpec(
            "vits_flow",
            "speak",
            (mean, log_deviation, noise, _floats("flow_style", 1, model.flow_style, 1)),
            (_floats("flowed", 1, model.latent, FRAMES),),
        ),
        GraphSpec(
            "vits_generate",
            "speak",
            (
                _floats("latent", 1, model.latent, HEARD),
                _floats("voice_style", 1, model.voice_style, 1),
            ),
            (_floats("audio", 1, Axis("audio", model.hop, 200 * model.hop, 1024 * model.hop)),),
        ),
    )
