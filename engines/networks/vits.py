"""SoVITS, the second stage: semantic tokens, phones and a style → samples.

Five parts, each a pure function of its inputs, in the order of use:

    extract_latent   HuBERT features of a reference → its semantic tokens
    style            spectrum (and speaker embedding) of a reference → style vector
    condition        style vector → everything the speaking parts need of it, once per voice
    latent           tokens + phones + condition → latent frames, two per token
    decode           latent frames + noise + condition → samples, 640 per frame of noise

The parts of the file are the classes of Kim et al. 2021 (VITS), Kong et al. 2020 (HiFi-GAN) and
Min et al. 2021 (Meta-StyleSpeech's style encoder). Attributes are named as the official files name
their weights. Shapes are (batch, channels, time); all items of a batch have the same lengths.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.graphs import NOISE_SCALE
from engines.networks.layers import (
    CrossAttention,
    Encoder,
    WaveNet,
    join_heads,
    renamed,
    split_heads,
    with_weights,
)
from engines.spec import VitsConfig

CODES = 1024
MRTE_CHANNELS = 512
MRTE_HEADS = 4
STYLE_CHANNELS = 128
STYLE_HEADS = 2
SPEAKER_CHANNELS = 20480
COUPLINGS = 4
SLOPE = 0.1
LAST_SLOPE = 0.01  # the original calls its last leaky ReLU without a slope

_RENAMES = {
    "quantizer.vq.layers.0._codebook.embed": "codebook",
    "ref_enc.spectral.0.fc.": "ref_enc.spectral.0.",
    "ref_enc.spectral.3.fc.": "ref_enc.spectral.1.",
    "ref_enc.temporal.0.conv1.conv.": "ref_enc.temporal.0.",
    "ref_enc.temporal.1.conv1.conv.": "ref_enc.temporal.1.",
    "ref_enc.fc.fc.": "ref_enc.fc.",
    # The odd numbers are channel flips, which have no weights.
    **{f"flow.flows.{2 * layer}.": f"flow.couplings.{layer}." for layer in range(COUPLINGS)},
}


class Condition(NamedTuple):
    """What the speaking parts take from a style vector; depends on the reference alone.

    Attributes:
        text: (B, 512, 1), added inside the text encoder.
        flow: (B, 4 · 8 · hidden, 1), biases of the flow's four WaveNets in the order of their use.
        generator: (B, initial channels, 1), added to the generator's first layer.
    """

    text: Tensor
    flow: Tensor
    generator: Tensor


def load(config: VitsConfig, weights: Mapping[str, Tensor]) -> Vits:
    """The network of an official file.

    Args:
        config: sizes, from `engines.checkpoint`.
        weights: float32 tensors under their official names, without the posterior encoder.

    Raises:
        CheckpointError: weights are missing, left over or of other sizes.
    """
    return with_weights(lambda: Vits(config), renamed(weights, _RENAMES))


class Vits(nn.Module):
    """The whole second stage; use its five methods, it has no `forward`."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        self.spec_channels = config.spec_channels
        self.ssl_proj = nn.Conv1d(config.ssl_channels, config.ssl_channels, 2, stride=2)
        self.codebook = nn.Parameter(torch.zeros(CODES, config.ssl_channels))
        self.ref_enc = StyleEncoder(config.spec_channels, config.gin_channels)
        self.speaker_embedding = config.speaker_embedding
        if config.speaker_embedding:
            self.sv_emb = nn.Linear(SPEAKER_CHANNELS, config.gin_channels)
            self.prelu = nn.PReLU(config.gin_channels)
            self.ge_to512 = nn.Linear(config.gin_channels, MRTE_CHANNELS)
        self.enc_p = TextEncoder(config)
        self.flow = Flow(config)
        self.dec = Generator(config)

    def extract_latent(self, features: Tensor) -> Tensor:
        """HuBERT features (B, 768, F) → semantic tokens (B, F // 2), int64."""
        x = self.ssl_proj(features).transpose(1, 2)  # (B, N, 768)
        squares = x.square().sum(-1, keepdim=True) + self.codebook.square().sum(-1)
        return torch.argmin(squares - 2 * x @ self.codebook.T, dim=-1)

    def style(self, spectrum: Tensor, speaker: Tensor | None = None) -> Tensor:
        """Style vector of one reference.

        Args:
            spectrum: (B, 1025, F) magnitudes of the 32 kHz reference.
            speaker: (B, 20480) speaker embedding, exactly where the network uses one.

        Returns:
            (B, gin, 1). Several references speak with the mean of their vectors.
        """
        ge: Tensor = self.ref_enc(spectrum[:, : self.spec_channels])
        if self.speaker_embedding:
            ge = self.prelu(ge + self.sv_emb(speaker).unsqueeze(-1))
        return ge

    def condition(self, ge: Tensor) -> Condition:
        """Everything that depends on the style (B, gin, 1) alone."""
        text = self.ge_to512(ge.squeeze(-1)).unsqueeze(-1) if self.speaker_embedding else ge
        return Condition(text, self.flow.condition(ge), self.dec.cond(ge))

    def latent(
        self,
        codes: Tensor,
        phones: Tensor,
        text_condition: Tensor,
        frame_mask: Tensor | None = None,
        phone_mask: Tensor | None = None,
    ) -> Tensor:
        """Latent frames of a sentence, or of a sentence so far.

        Args:
            codes: (B, N) semantic tokens.
            phones: (B, P) phone ids of the text to speak, never of the reference's text.
            text_condition: `Condition.text`.
            frame_mask: (B, 1, 2N), nought where tokens are padding.
            phone_mask: (B, 1, P), nought where phones are padding.

        Returns:
            (B, hidden, 2N). When streaming, cut the new frames out of it and cross-fade them with
            the chunk before (`crossfade_latent`) ahead of `decode`.
        """
        quantized = F.embedding(codes, self.codebook)
        return self.enc_p.latent(quantized, phones, text_condition, frame_mask, phone_mask)

    def decode(self, latent: Tensor, noise: Tensor, condition: Condition) -> Tensor:
        """Samples of latent frames.

        Args:
            latent: (B, hidden, T).
            noise: (B, inter, T'), standard normal. T' sets the length: T for speed 1, else
                `int(T / speed) + 1`; the latent is stretched to it.
            condition: of the voice.

        Returns:
            (B, 1, 640 · T') in (-1, 1).
        """
        z = self.flow(drawn(*self.enc_p.prior(latent, noise.shape[-1]), noise), condition.flow)
        samples: Tensor = self.dec(z, condition.generator)
        return samples


def drawn(mean: Tensor, log_scale: Tensor, noise: Tensor) -> Tensor:
    """A sample of the prior, all (B, inter, T)."""
    return mean + noise * torch.exp(log_scale) * NOISE_SCALE


def stretched(latent: Tensor, length: int) -> Tensor:
    """Linear interpolation over time, (B, C, T) → (B, C, length); exact where the length stays.

    The centres of the first and last frames keep their place (half-pixel positions). Written out
    because `F.interpolate` treats an equal length as a case of its own, which fixes it on export.
    """
    frames = latent.shape[-1]
    places = torch.arange(length, dtype=torch.float32, device=latent.device)
    source = ((places + 0.5) * (frames / length) - 0.5).clamp(min=0)
    left = source.long()
    right = (left + 1).clamp(max=frames - 1)
    share = (source - left).to(latent.dtype)
    return latent[..., left] * (1 - share) + latent[..., right] * share


def crossfade_latent(latent: Tensor, before: Tensor) -> Tensor:
    """Fade the first frames of `latent` (B, C, T) in over `before` (B, C, L), L ≤ T.

    The two halves of one sine wave, as the original fades streamed chunks: the weights sum to more
    than 1 in the middle.
    """
    length = before.shape[-1]
    steps = torch.arange(2 * length, dtype=latent.dtype, device=latent.device)
    window = torch.sin(math.pi * steps / max(2 * length, 1))
    faded = window[:length] * latent[..., :length] + window[length:] * before
    return torch.cat([faded, latent[..., length:]], dim=-1)


class StyleEncoder(nn.Module):
    """A spectrogram of any length → one style vector."""

    def __init__(self, spec_channels: int, gin_channels: int) -> None:
        super().__init__()
        width = STYLE_CHANNELS
        self.spectral = nn.ModuleList([nn.Linear(spec_channels, width), nn.Linear(width, width)])
        self.temporal = nn.ModuleList(nn.Conv1d(width, 2 * width, 5, padding=2) for _ in range(2))
        self.slf_attn = StyleAttention()
        self.fc = nn.Linear(width, gin_channels)

    def forward(self, spectrum: Tensor) -> Tensor:
        """(B, bins, F) → (B, gin, 1)."""
        x = spectrum.transpose(1, 2)
        for linear in self.spectral:
            x = F.mish(linear(x))
        x = x.transpose(1, 2)
        for conv in self.temporal:
            x = x + F.glu(conv(x), dim=1)
        rows = self.fc(self.slf_attn(x.transpose(1, 2)))  # (B, F, gin)
        style: Tensor = rows.mean(1).unsqueeze(-1)
        return style


class StyleAttention(nn.Module):
    """Self-attention of two heads with its residual."""

    def __init__(self) -> None:
        super().__init__()
        width = STYLE_CHANNELS
        self.w_qs = nn.Linear(width, width)
        self.w_ks = nn.Linear(width, width)
        self.w_vs = nn.Linear(width, width)
        self.fc = nn.Linear(width, width)
        # The original divides by the root of the whole width, not of one head's.
        self.scale = 1 / math.sqrt(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, 128) → (B, F, 128)."""
        q, k, v = (
            split_heads(linear(x).transpose(1, 2), STYLE_HEADS, STYLE_CHANNELS // STYLE_HEADS)
            for linear in (self.w_qs, self.w_ks, self.w_vs)
        )
        weights = torch.softmax(q @ k.transpose(2, 3) * self.scale, dim=-1)
        out: Tensor = self.fc(join_heads(weights @ v, STYLE_CHANNELS).transpose(1, 2)) + x
        return out


class TextEncoder(nn.Module):
    """Semantic tokens and phones → mean and scale of the latent."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        hidden = config.hidden_channels

        def encoder(layers: int) -> Encoder:
            inner, heads = config.filter_channels, config.n_heads
            return Encoder(hidden, inner, heads, layers, config.kernel_size)

        self.ssl_proj = nn.Conv1d(config.ssl_channels, hidden, 1)
        self.encoder_ssl = encoder(config.n_layers // 2)
        self.text_embedding = nn.Embedding(config.phone_count, hidden)
        self.encoder_text = encoder(config.n_layers)
        self.mrte = MRTE(hidden)
        self.encoder2 = encoder(config.n_layers // 2)
        self.proj = nn.Conv1d(hidden, 2 * config.inter_channels, 1)

    def latent(
        self,
        quantized: Tensor,
        phones: Tensor,
        condition: Tensor,
        frame_mask: Tensor | None = None,
        phone_mask: Tensor | None = None,
    ) -> Tensor:
        """Codebook rows (B, N, 768), phones (B, P), (B, 512, 1) → (B, hidden, 2N).

        Masks (B, 1, 2N) and (B, 1, P) are nought where a sentence has been lengthened.
        """
        twice = torch.stack([quantized, quantized], dim=2)
        twice = twice.reshape(quantized.shape[0], -1, self.ssl_proj.in_channels)
        x = self.ssl_proj(twice.transpose(1, 2))
        text = self.encoder_text(self.text_embedding(phones).transpose(1, 2), phone_mask)
        content = self.mrte(self.encoder_ssl(x, frame_mask), text, condition, phone_mask)
        out: Tensor = self.encoder2(content, frame_mask)
        return out

    def prior(self, latent: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """(B, hidden, T) → mean and log scale, each (B, inter, length)."""
        mean, log_scale = self.proj(stretched(latent, length)).chunk(2, dim=1)
        return mean, log_scale


class MRTE(nn.Module):
    """Timbre encoder of Jiang et al. 2023: the content looks at the text, the timbre is added."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.c_pre = nn.Conv1d(hidden, MRTE_CHANNELS, 1)
        self.text_pre = nn.Conv1d(hidden, MRTE_CHANNELS, 1)
        self.cross_attention = CrossAttention(MRTE_CHANNELS, MRTE_HEADS)
        self.c_post = nn.Conv1d(MRTE_CHANNELS, hidden, 1)

    def forward(
        self, content: Tensor, text: Tensor, condition: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """(B, hidden, T), (B, hidden, P), (B, 512, 1), mask (B, 1, P) → (B, hidden, T)."""
        x = self.c_pre(content)
        looked = self.cross_attention(x, self.text_pre(text), mask)
        out: Tensor = self.c_post(looked + x + condition)
        return out


class Flow(nn.Module):
    """Reverse of the normalizing flow: prior sample → decoder latent."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        inter, hidden, gin = config.inter_channels, config.hidden_channels, config.gin_channels
        self.couplings = nn.ModuleList(Coupling(inter, hidden, gin) for _ in range(COUPLINGS))

    def condition(self, ge: Tensor) -> Tensor:
        """(B, gin, 1) → the couplings' WaveNet biases, in the order in which they run."""
        biases = []
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            biases.append(coupling.condition(ge))
        return torch.cat(biases, dim=1)

    def forward(self, z: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, inter, T), (B, 4 · 8 · hidden, 1), mask (B, 1, T) → (B, inter, T)."""
        first = 0
        for coupling in reversed(self.couplings):
            assert isinstance(coupling, Coupling)
            last = first + coupling.enc.cond_layer.out_channels
            z = coupling(torch.flip(z, (1,)), condition[:, first:last], mask)
            first = last
        return z


class Coupling(nn.Module):
    """One affine coupling of the flow without its scale (Dinh et al. 2017), reversed."""

    def __init__(self, inter: int, hidden: int, gin: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(inter // 2, hidden, 1)
        self.enc = WaveNet(hidden, gin)
        self.post = nn.Conv1d(hidden, inter // 2, 1)

    def condition(self, ge: Tensor) -> Tensor:
        """(B, gin, 1) → (B, 8 · hidden, 1)."""
        bias: Tensor = self.enc.cond_layer(ge)
        return bias

    def forward(self, z: Tensor, bias: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, inter, T), (B, 8 · hidden, 1), mask (B, 1, T) → (B, inter, T)."""
        half = self.post.out_channels
        kept, moved = torch.split(z, [half, half], dim=1)
        return torch.cat([kept, moved - self.post(self.enc(self.pre(kept), bias, mask))], dim=1)


class Generator(nn.Module):
    """HiFi-GAN: latent frames → samples."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        channels = config.upsample_initial_channel
        self.conv_pre = nn.Conv1d(config.inter_channels, channels, 7, padding=3)
        self.cond = nn.Conv1d(config.gin_channels, channels, 1)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        self.blocks_per_stage = len(config.resblock_kernel_sizes)
        for rate, taps in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            narrower, padding = channels // 2, (taps - rate) // 2
            self.ups.append(nn.ConvTranspose1d(channels, narrower, taps, rate, padding))
            channels = narrower
            for kernel, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            ):
                self.resblocks.append(ResidualBlock(channels, kernel, dilations))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=False)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """(B, inter, T), (B, initial, 1) → (B, 1, 640 T)."""
        x = self.conv_pre(z) + condition
        for stage, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, SLOPE))
            first = stage * self.blocks_per_stage
            blocks = self.resblocks[first : first + self.blocks_per_stage]
            x = sum(block(x) for block in blocks) / self.blocks_per_stage
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))


class ResidualBlock(nn.Module):
    """Dilated convolutions, each followed by a plain one, added to their input."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        half = kernel // 2
        self.convs1 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=half * dilation, dilation=dilation)
            for dilation in dilations
        )
        self.convs2 = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, padding=half) for _ in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) → (B, C, T)."""
        for wide, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(wide(F.leaky_relu(x, SLOPE)), SLOPE))
        return x
