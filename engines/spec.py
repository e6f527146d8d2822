"""What the versions of GPT-SoVITS are: one row each, and the sizes a checkpoint brings itself.

Together with `engines/checkpoint.py` this is the only file that knows a version's name. Everything
else takes numbers and booleans.
"""

from __future__ import annotations

from dataclasses import dataclass

SYMBOL_COUNTS = {"v1": 322, "v2": 732}
"""Symbol table → number of phones; the second table begins with the first."""


SSL_CHANNELS = 768
"""Width of HuBERT and of the codebook in the official files."""


@dataclass(frozen=True, slots=True)
class VitsSpec:
    """How a VITS decoder turns latent frames into samples.

    Attributes:
        sample_rate: samples per second of the speech.
        hop_length: samples per latent frame; the product of `upsample_rates`.
        upsample_initial_channel: channels of the generator's first stage.
        upsample_rates: stretch of each stage.
        upsample_kernel_sizes: taps of each stage's transposed convolution.
    """

    sample_rate: int
    hop_length: int
    upsample_initial_channel: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MelSpec:
    """A log-mel spectrogram: slaney filters from 0 Hz to half the sample rate."""

    sample_rate: int
    fft_length: int
    hop_length: int
    bands: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One version of the official models.

    Attributes:
        name: as the official project spells it.
        symbols: which symbol table its phones come from, a key of `SYMBOL_COUNTS`.
        spec_channels: how many of the 1025 spectrum bins the style encoder sees.
        gin_channels: width of the style vector in the official files.
        speaker_embedding: whether a speaker embedding joins the style.
        decoder: the second stage, at its official sizes.
        semantic_rate: semantic tokens per second.
    """

    name: str
    symbols: str
    spec_channels: int
    gin_channels: int
    speaker_embedding: bool
    decoder: VitsSpec
    semantic_rate: int = 25

    @property
    def phone_count(self) -> int:
        """Number of phone ids the text encoder knows."""
        return SYMBOL_COUNTS[self.symbols]

    @property
    def samples_per_token(self) -> int:
        """Samples that one semantic token becomes at speed 1."""
        return self.decoder.sample_rate // self.semantic_rate


VITS = VitsSpec(32000, 640, 512, (10, 8, 2, 2, 2), (16, 16, 8, 2, 2))
VITS_LARGE = VitsSpec(32000, 640, 768, (10, 8, 2, 2, 2), (20, 16, 8, 2, 2))

SPECS = {
    spec.name: spec
    for spec in (
        ModelSpec("v1", "v1", 1025, 512, speaker_embedding=False, decoder=VITS),
        ModelSpec("v2", "v2", 704, 512, speaker_embedding=False, decoder=VITS),
        ModelSpec("v2Pro", "v2", 704, 1024, speaker_embedding=True, decoder=VITS),
        ModelSpec("v2ProPlus", "v2", 704, 1024, speaker_embedding=True, decoder=VITS_LARGE),
    )
}
"""Version name → its row."""

MELS = {"v3": MelSpec(24000, 1024, 256, 100), "v4": MelSpec(32000, 1280, 320, 100)}
"""Spectrograms of the flow-matching versions."""

OFFICIAL_REPOSITORY = "lj1995/GPT-SoVITS"
"""Where the official project publishes its pretrained files, on the Hugging Face Hub."""

OFFICIAL_FILES = {
    "v1": ("s1bert25hz-2kh-longer-epoch=68e-step=50232.ckpt", "s2G488k.pth"),
    "v2": (
        "gsv-v2final-pretrained/s1bert25hz-5kh-longer-epoch=12-step=369668.ckpt",
        "gsv-v2final-pretrained/s2G2333k.pth",
    ),
    "v2Pro": ("s1v3.ckpt", "v2Pro/s2Gv2Pro.pth"),
    "v2ProPlus": ("s1v3.ckpt", "v2Pro/s2Gv2ProPlus.pth"),
}
"""Version name → its T2S and its SoVITS file in that repository."""

HUBERT_FILES = ("chinese-hubert-base/config.json", "chinese-hubert-base/pytorch_model.bin")
BERT_FILES = (
    "chinese-roberta-wwm-ext-large/config.json",
    "chinese-roberta-wwm-ext-large/tokenizer.json",
    "chinese-roberta-wwm-ext-large/pytorch_model.bin",
)
SPEAKER_FILES = ("sv/pretrained_eres2netv2w24s4ep4.ckpt",)
"""The networks that all versions share; the speaker network is for those that embed speakers."""


@dataclass(frozen=True, slots=True)
class VitsConfig:
    """Sizes of one SoVITS network, as its file says (names are the file's).

    `spec_channels`, `phone_count`, `speaker_embedding` and `ssl_channels` (the width of HuBERT and
    of the codebook) come from the weights.
    """

    inter_channels: int
    hidden_channels: int
    filter_channels: int
    n_heads: int
    n_layers: int
    kernel_size: int
    gin_channels: int
    upsample_initial_channel: int
    upsample_rates: tuple[int, ...]
    upsample_kernel_sizes: tuple[int, ...]
    resblock_kernel_sizes: tuple[int, ...]
    resblock_dilation_sizes: tuple[tuple[int, ...], ...]
    spec_channels: int
    phone_count: int
    speaker_embedding: bool
    ssl_channels: int


@dataclass(frozen=True, slots=True)
class T2SConfig:
    """Sizes of one text-to-semantic network, as its file says (names are the file's).

    Attributes:
        vocab_size: semantic tokens including the end token.
        phoneme_vocab_size: rows of the phone embedding.
        hidden_dim: width of the transformer; its feed-forward layers are four times as wide.
        head: attention heads.
        n_layer: transformer layers.
        eos: the end token, always `vocab_size - 1`.
        max_sec: longest speech the model was trained for, in seconds.
    """

    vocab_size: int
    phoneme_vocab_size: int
    hidden_dim: int
    head: int
    n_layer: int
    eos: int
    max_sec: int


@dataclass(frozen=True, slots=True)
class HubertConfig:
    """Sizes of a HuBERT encoder (names are those of its `config.json`)."""

    conv_dim: tuple[int, ...]
    conv_kernel: tuple[int, ...]
    conv_stride: tuple[int, ...]
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    num_conv_pos_embeddings: int
    num_conv_pos_embedding_groups: int
    layer_norm_eps: float


@dataclass(frozen=True, slots=True)
class BertConfig:
    """Sizes of a BERT encoder (names are those of its `config.json`)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_attention_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
