"""Official model files: which version they are, their sizes and their weights.

With `engines/spec.py` the only file that knows a version's name. What a file is follows from what
is in it, not from its name, size or hash. Weights come back as float32 under their official names;
the networks rename, fold and check them strictly (`engines/networks`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.errors import CheckpointError
from engines.file_settings import MAX_LAYERS, FileSettings
from engines.spec import (
    SPECS,
    SSL_CHANNELS,
    BertConfig,
    HubertConfig,
    ModelSpec,
    T2SConfig,
    VitsConfig,
)
from engines.torch_file import read_torch_file

_MARKS = {
    "00": "v1",
    "01": "v2",
    "02": "v3",
    "03": "v3 LoRA",
    "04": "v4 LoRA",
    "05": "v2Pro",
    "06": "v2ProPlus",
}
"""The two digits that replace the first two bytes of some official files."""

# Left out on loading, by name. Training only:
_POSTERIOR_ENCODER = "enc_q"
_CODEBOOK = "quantizer.vq.layers.0._codebook."
_CODEBOOK_STATISTICS = tuple(_CODEBOOK + name for name in ("inited", "cluster_size", "embed_avg"))
_HUBERT_UNUSED = ("masked_spec_embed",)
_BERT_UNUSED = ("cls.", "pooler.", "embeddings.position_ids")
_SPEAKER_UNUSED = ("seg_1.",)
_BATCH_COUNTER = "num_batches_tracked"

_MAX_CONFIG_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class SovitsCheckpoint:
    """A second-stage file: its version, its sizes, its weights without the training-only ones."""

    spec: ModelSpec
    config: VitsConfig
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class T2SCheckpoint:
    """A first-stage file: its sizes and its weights, their `model.` prefix taken off."""

    config: T2SConfig
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class HubertCheckpoint:
    """A HuBERT folder: sizes and weights as Hugging Face names them."""

    config: HubertConfig
    weights: dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class BertCheckpoint:
    """A BERT folder: sizes and weights as Hugging Face names them, without `bert.` in front."""

    config: BertConfig
    weights: dict[str, Tensor]


def load_sovits(path: Path) -> SovitsCheckpoint:
    """Read a SoVITS `.pth`: a full or a fine-tuned one, with or without its posterior encoder.

    Raises:
        CheckpointError: damaged, foreign or unsafe, a version that is not supported yet (named in
            the message), or sizes and weights that contradict each other.
    """
    content, mark = read_torch_file(path)
    weights = _weights(content.get("weight"), path.name)
    settings = FileSettings(content.get("config"), path.name)
    spec = detect(weights, settings.group("model").text("version"), mark, path.name)
    if spec.speaker_embedding != ("sv_emb.weight" in weights):
        raise CheckpointError(f"{path.name} is marked {spec.name} but has no speaker projection")
    used = {key: tensor for key, tensor in weights.items() if _POSTERIOR_ENCODER not in key}
    statistics = {key: used.pop(key) for key in _CODEBOOK_STATISTICS if key in used}
    inited = statistics.get(_CODEBOOK + "inited")
    if inited is not None and not bool((inited == 1).all()):
        raise CheckpointError(f"{path.name} has a codebook that was never trained")
    return SovitsCheckpoint(spec, _vits_config(settings, spec, used), used)


def load_t2s(path: Path) -> T2SCheckpoint:
    """Read a text-to-semantic `.ckpt`; its network is the same in every version.

    Raises:
        CheckpointError: damaged, foreign or unsafe, or without the sizes it must name.
    """
    content, _ = read_torch_file(path)
    weights = _weights(content.get("weight"), path.name)
    if not all(key.startswith("model.") for key in weights):
        raise CheckpointError(f"{path.name} is not a text-to-semantic model (keys lack `model.`)")
    settings = FileSettings(content.get("config"), path.name)
    model = settings.group("model")
    config = T2SConfig(
        vocab_size=model.integer("vocab_size"),
        phoneme_vocab_size=model.integer("phoneme_vocab_size"),
        hidden_dim=model.integer("hidden_dim"),
        head=model.integer("head"),
        n_layer=model.integer("n_layer", MAX_LAYERS),
        eos=model.integer("EOS"),
        max_sec=settings.group("data").integer("max_sec"),
    )
    if config.eos != config.vocab_size - 1:
        raise CheckpointError(f"{path.name}: EOS {config.eos} is not the last of the vocabulary")
    if model.integer("embedding_dim") != config.hidden_dim:
        raise CheckpointError(f"{path.name}: embedding_dim must be hidden_dim {config.hidden_dim}")
    _check_heads(config.hidden_dim, config.head, path.name)
    return T2SCheckpoint(
        config, {key.removeprefix("model."): tensor for key, tensor in weights.items()}
    )


def load_hubert(folder: Path) -> HubertCheckpoint:
    """Read a HuBERT folder: `config.json` and `pytorch_model.bin`.

    Raises:
        CheckpointError: a file is missing, damaged or unsafe, or it is another kind of network.
    """
    settings = _read_config(folder)
    settings.expect("feat_extract_norm", "group")
    settings.expect("do_stable_layer_norm", False)
    settings.expect("conv_bias", False)
    settings.expect("hidden_act", "gelu")
    config = HubertConfig(
        conv_dim=settings.integers("conv_dim"),
        conv_kernel=settings.integers("conv_kernel"),
        conv_stride=settings.integers("conv_stride"),
        hidden_size=settings.integer("hidden_size"),
        intermediate_size=settings.integer("intermediate_size"),
        num_attention_heads=settings.integer("num_attention_heads"),
        num_hidden_layers=settings.integer("num_hidden_layers", MAX_LAYERS),
        num_conv_pos_embeddings=settings.integer("num_conv_pos_embeddings"),
        num_conv_pos_embedding_groups=settings.integer("num_conv_pos_embedding_groups"),
        layer_norm_eps=settings.number("layer_norm_eps"),
    )
    _check_heads(config.hidden_size, config.num_attention_heads, settings.name)
    return HubertCheckpoint(config, _hugging_face_weights(folder, "hubert.", _HUBERT_UNUSED))


def load_bert(folder: Path) -> BertCheckpoint:
    """Read a BERT folder: `config.json` and `pytorch_model.bin`.

    Raises:
        CheckpointError: a file is missing, damaged or unsafe, or it is another kind of network.
    """
    settings = _read_config(folder)
    settings.expect("hidden_act", "gelu")
    config = BertConfig(
        vocab_size=settings.integer("vocab_size", 1 << 20),
        hidden_size=settings.integer("hidden_size"),
        intermediate_size=settings.integer("intermediate_size"),
        num_attention_heads=settings.integer("num_attention_heads"),
        num_hidden_layers=settings.integer("num_hidden_layers", MAX_LAYERS),
        max_position_embeddings=settings.integer("max_position_embeddings"),
        type_vocab_size=settings.integer("type_vocab_size"),
        layer_norm_eps=settings.number("layer_norm_eps"),
    )
    _check_heads(config.hidden_size, config.num_attention_heads, settings.name)
    weights = _hugging_face_weights(folder, "bert.", _BERT_UNUSED)
    # Files from before 2019 name the two halves of a layer norm after the paper's letters.
    spelled = {
        key.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        ): tensor
        for key, tensor in weights.items()
    }
    return BertCheckpoint(config, spelled)


def load_speaker(path: Path) -> dict[str, Tensor]:
    """Read the speaker network's file: its weights without the unused classification layer.

    Raises:
        CheckpointError: damaged, foreign or unsafe.
    """
    content, _ = read_torch_file(path)
    weights = _weights(content, path.name)
    return {
        key: tensor
        for key, tensor in weights.items()
        if not key.startswith(_SPEAKER_UNUSED) and not key.endswith(_BATCH_COUNTER)
    }


def detect(weights: Mapping[str, Tensor], claimed: str, mark: str, name: str) -> ModelSpec:
    """Which version a second-stage file is.

    The file's mark names a version outright; without one the number of phones, the speaker
    projection and the width of the generator tell the versions apart.

    Args:
        weights: the file's tensors.
        claimed: version its settings claim, "" for none; only used to word a refusal.
        mark: the two digits in place of its zip header, "" for none.
        name: what to call the file in errors.

    Raises:
        CheckpointError: not a SoVITS file, or a version that is not supported yet.
    """
    marked = _MARKS.get(mark, "")
    if mark and not marked:
        raise CheckpointError(f"{name} carries the unknown version mark {mark}")
    flow_matching = any(key.startswith("cfm.") for key in weights)
    unsupported = next((v for v in (marked, claimed) if v and v not in SPECS), "")
    if (
        flow_matching
        or marked not in ("", *SPECS)
        or (unsupported and "dec.cond.bias" not in weights)
    ):
        version = unsupported or "v3 or v4"
        raise CheckpointError(f"{name} is a {version} model, which is not supported yet")
    embedding = weights.get("enc_p.text_embedding.weight")
    if embedding is None or embedding.dim() != 2:
        raise CheckpointError(f"{name} is not a SoVITS model: it has no text embedding")
    if marked and SPECS[marked].phone_count == embedding.shape[0]:
        return SPECS[marked]
    speaker = "sv_emb.weight" in weights
    rows = [
        spec
        for spec in SPECS.values()
        if spec.phone_count == embedding.shape[0] and spec.speaker_embedding == speaker
    ]
    if not rows:
        raise CheckpointError(f"{name} knows {embedding.shape[0]} phones, as no supported version")
    first = weights.get("dec.conv_pre.bias")
    width = -1 if first is None else first.numel()
    exact = [spec for spec in rows if spec.decoder.upsample_initial_channel == width]
    return (exact or rows)[0]


def _vits_config(
    settings: FileSettings, spec: ModelSpec, weights: Mapping[str, Tensor]
) -> VitsConfig:
    data, model = settings.group("data"), settings.group("model")
    data.expect("sampling_rate", spec.decoder.sample_rate)
    data.expect("hop_length", spec.decoder.hop_length)
    model.expect("resblock", "1")
    spectrum = weights.get("ref_enc.spectral.0.fc.weight")
    bins = -1 if spectrum is None or spectrum.dim() != 2 else spectrum.shape[1]
    if bins != spec.spec_channels:
        raise CheckpointError(
            f"{settings.name}: a {spec.name} model sees {spec.spec_channels} bins, this one {bins}"
        )
    codebook = weights.get(_CODEBOOK + "embed")
    config = VitsConfig(
        inter_channels=model.integer("inter_channels"),
        hidden_channels=model.integer("hidden_channels"),
        filter_channels=model.integer("filter_channels"),
        n_heads=model.integer("n_heads"),
        n_layers=model.integer("n_layers", MAX_LAYERS),
        kernel_size=model.integer("kernel_size"),
        gin_channels=model.integer("gin_channels"),
        upsample_initial_channel=model.integer("upsample_initial_channel"),
        upsample_rates=model.integers("upsample_rates"),
        upsample_kernel_sizes=model.integers("upsample_kernel_sizes"),
        resblock_kernel_sizes=model.integers("resblock_kernel_sizes"),
        resblock_dilation_sizes=model.nested_integers("resblock_dilation_sizes"),
        spec_channels=spec.spec_channels,
        phone_count=spec.phone_count,
        speaker_embedding=spec.speaker_embedding,
        ssl_channels=SSL_CHANNELS if codebook is None else codebook.shape[-1],
    )
    _check_lengths(config, spec.decoder.hop_length, settings.name)
    return config


def _check_lengths(config: VitsConfig, hop_length: int, name: str) -> None:
    """Convolutions must keep the length, or stretch it exactly to one frame of samples."""
    rates, kernels = config.upsample_rates, config.upsample_kernel_sizes
    if math.prod(rates) != hop_length:
        raise CheckpointError(
            f"{name}: upsample_rates {rates} do not make a frame of {hop_length} samples"
        )
    surplus = [taps - rate for rate, taps in zip(rates, kernels, strict=False)]
    if len(rates) != len(kernels) or any(taps < 0 or taps % 2 for taps in surplus):
        raise CheckpointError(f"{name}: upsample_kernel_sizes {kernels} do not fit {rates}")
    if any(taps % 2 == 0 for taps in (config.kernel_size, *config.resblock_kernel_sizes)):
        raise CheckpointError(f"{name}: kernel_size and resblock_kernel_sizes must be odd")


def _check_heads(width: int, heads: int, name: str) -> None:
    if width % heads:
        raise CheckpointError(f"{name}: a width of {width} cannot be shared by {heads} heads")


def _weights(value: Any, name: str) -> dict[str, Tensor]:
    if not isinstance(value, dict) or not value:
        raise CheckpointError(f"{name} holds no weights")
    weights: dict[str, Tensor] = {}
    for key, tensor in value.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{name}: the weight {key} is not a tensor")
        weights[key] = tensor.float().contiguous() if tensor.is_floating_point() else tensor
        if not bool(torch.isfinite(weights[key]).all()):
            raise CheckpointError(f"{name}: the weight {key} holds infinite or undefined numbers")
    return weights


def _hugging_face_weights(folder: Path, prefix: str, unused: tuple[str, ...]) -> dict[str, Tensor]:
    path = folder / "pytorch_model.bin"
    content, _ = read_torch_file(path)
    weights = {key.removeprefix(prefix): t for key, t in _weights(content, path.name).items()}
    return {key: tensor for key, tensor in weights.items() if not key.startswith(unused)}


def _read_config(folder: Path) -> FileSettings:
    path = folder / "config.json"
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_MAX_CONFIG_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path.name} of {folder.name} cannot be read: {error}") from error
    return FileSettings(value, f"{folder.name}/{path.name}")
