"""SoVITS v2: tokens, phones and somebody's style → speech (Kim et al. 2021, with an adversary).

Windows of whole tokens are cut out of utterances; the style comes from another utterance of the
same speaker, as it does in use, so it cannot carry what is said.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from engines.networks.vits import Vits
from engines.spec import MelSpec, VitsConfig
from engines.spectra import slaney_mel_banks
from training.corpus import CODE, RATE, Corpus, pitch
from training.discriminators import Discriminators, discriminator_loss, generator_losses
from training.posterior import PosteriorEncoder, prior, to_prior

HOP = CODE // 2
SEGMENT = 32
"""Frames that the generator is heard for at a time."""
WINDOWS = (40, 80, 160)
"""Tokens of a window, one of them for each step."""
STYLE_FRAMES = 200
_MEL = MelSpec(32_000, 2048, 640, 128)
_SPECTRA = ((512, 128), (1024, 256), (2048, 512))
MEL_WEIGHT, SPECTRUM_WEIGHT, PITCH_WEIGHT = 45.0, 2.0, 3.0
_LOWEST, _NOTES = 4.2, 64
"""Logarithm of 67 Hz, and classes of 3 % above it."""


class Sovits(nn.Module):
    """The network that is shipped, and its posterior encoder."""

    def __init__(self, config: VitsConfig) -> None:
        super().__init__()
        self.vits = Vits(config)
        self.enc_q = PosteriorEncoder(1025, config.inter_channels, 128, config.gin_channels)
        # Nothing else says early that the latent must tell how high a voice is; without that the
        # generator settles for a buzz of its own frame rate, and the divergence keeps it there.
        self.pitch = nn.Sequential(
            nn.Conv1d(config.inter_channels, 192, 5, padding=2),
            nn.GELU(),
            nn.Conv1d(192, 1 + _NOTES, 1),
        )
        _start(self.vits)


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows: codes (B, N), phones (B, P), counts (B,), samples (B, N · 1280), a style."""

    codes: Tensor
    phones: Tensor
    count: Tensor
    samples: Tensor
    style: Tensor


class Source:
    """Cuts batches.

    Args:
        corpus: the speech.
        codes: tokens of each utterance, see `training.tokenizer.encode`.
    """

    def __init__(self, corpus: Corpus, codes: list[Tensor]) -> None:
        device = corpus.audio.device
        self.corpus = corpus
        lengths = [len(row) for row in codes]
        self._codes = torch.cat(codes).long().to(device)
        self._code_counts = torch.tensor(lengths, device=device)
        self._code_starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0)[:-1]], device=device)
        most = max(len(row) for row in corpus.phones)
        # All texts are filled up to one length: a GPU records a step of fixed shapes once.
        self._phones = torch.stack([F.pad(row, (0, most - len(row))) for row in corpus.phones])
        self._phone_counts = torch.tensor([len(row) for row in corpus.phones], device=device)
        order = corpus.speaker.argsort(stable=True)
        self._by_speaker = order
        counts = torch.bincount(corpus.speaker, minlength=len(corpus.speakers))
        self._speaker_counts, self._speaker_starts = counts, counts.cumsum(0) - counts

    def draw(self, seconds: int, tokens: int) -> Batch:
        """A batch of windows of so many tokens that are so many seconds together."""
        device = self.corpus.audio.device
        rows = max(seconds * 25 // tokens, 2)
        chosen = torch.randint(len(self.corpus), (rows,), device=device)
        return self.cut(chosen, tokens)

    def cut(self, chosen: Tensor, tokens: int) -> Batch:
        """Windows of these utterances, each at a random place."""
        device = chosen.device
        room = (self._code_counts[chosen] - tokens + 1).clamp(min=1)
        first = (torch.rand(len(chosen), device=device) * room).long()
        places = first[:, None] + torch.arange(tokens, device=device)
        last = self._code_counts[chosen, None] - 1  # always silence
        codes = self._codes[self._code_starts[chosen, None] + torch.minimum(places, last)]
        speaker = self.corpus.speaker[chosen]
        pick = (torch.rand(len(chosen), device=device) * self._speaker_counts[speaker]).long()
        other = self._by_speaker[self._speaker_starts[speaker] + pick]
        late = (self.corpus.lengths[other] - STYLE_FRAMES * HOP).clamp(min=1)
        begin = (torch.rand(len(chosen), device=device) * late).long()
        return Batch(
            codes,
            self._phones[chosen],
            self._phone_counts[chosen],
            self.corpus.windows(chosen, first * CODE, tokens * CODE),
            magnitudes(self.corpus.windows(other, begin, STYLE_FRAMES * HOP)),
        )


def step(
    network: Sovits,
    judges: Discriminators,
    batch: Batch,
    codebook: Tensor,
    adversary: bool,
    pieces: int = 1,
    kl_weight: Tensor | float = 1.0,
) -> dict[str, Tensor]:
    """Losses of one step.

    Args:
        network: learns from "total", and only it: the discriminators are in that graph too.
        judges: the discriminators; learn from "discriminators", and only they.
        batch: windows.
        codebook: rows of the tokens.
        adversary: whether the discriminators take part.
        pieces: how many pieces of `SEGMENT` frames the generator speaks of each window.
        kl_weight: what a nat of divergence counts.
    """
    vits = network.vits
    style = vits.style(batch.style)
    z, _, log_q = network.enc_q(magnitudes(batch.samples), style)
    mean, log_p = prior(
        vits.enc_p, F.embedding(batch.codes, codebook), batch.phones, batch.count, style
    )
    z_p = to_prior(vits.flow, z, style).float()
    distance = log_p - log_q - 0.5 + 0.5 * (z_p - mean).square() * torch.exp(-2 * log_p)
    rows = torch.arange(len(z), device=z.device).repeat(pieces)
    first = torch.randint(z.shape[2] - SEGMENT + 1, (len(rows),), device=z.device)
    frames = first[:, None] + torch.arange(SEGMENT, device=z.device)
    piece = z[rows].gather(2, frames[:, None].expand(-1, z.shape[1], -1))
    made = vits.dec(piece, vits.dec.cond(style)[rows]).float()
    places = (first * HOP)[:, None] + torch.arange(SEGMENT * HOP, device=z.device)
    real = batch.samples[rows[:, None], places][:, None]
    parts = {
        "kl": distance.sum(1).mean(),  # nats of a frame
        "mel": F.l1_loss(log_mel(made[:, 0]), log_mel(real[:, 0])),
        "spectrum": _spectral(made[:, 0], real[:, 0]),
        "pitch": F.cross_entropy(network.pitch(z).float(), notes(batch.samples)),
    }
    total = MEL_WEIGHT * parts["mel"] + SPECTRUM_WEIGHT * parts["spectrum"]
    total = total + PITCH_WEIGHT * parts["pitch"]
    if adversary:
        # One pass teaches both sides, each by its own backward pass.
        true_layers, made_layers = judges.compare(real, made)
        parts["discriminators"] = discriminator_loss(true_layers, made_layers)
        fooled, features = generator_losses(true_layers, made_layers)
        parts |= {"fooled": fooled, "features": features}
        total = total + fooled + features
    parts["total"] = total + kl_weight * parts["kl"]
    return parts


def divergence_weight(done: float) -> float:
    """What a nat of divergence counts when this share of the planned time is over.

    Little at first, so that the latent says everything that the generator can learn to speak by
    (the pitch above all); from 0.03 at a quarter of the time it grows to 1 at six tenths.
    """
    return float(0.03 ** (1 - min(max((done - 0.25) / 0.35, 0.0), 1.0)))


class Average(nn.ModuleDict):
    """The speaker's weights, averaged over the last thousand steps: what is exported.

    It trails the noise of the adversary, and costs one kernel a step.
    """

    def __init__(self, network: Sovits) -> None:
        super().__init__({"vits": copy.deepcopy(network.vits)})
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, network: Sovits, share: float = 0.001) -> None:
        """Move by this share towards the running weights."""
        running: list[Tensor] = list(network.vits.parameters())
        average: list[Tensor] = list(self["vits"].parameters())
        torch._foreach_lerp_(average, running, share)


def notes(samples: Tensor) -> Tensor:
    """How high the voice is in each frame, (B, n) → int64 (B, n / 640); 0 without voice."""
    with torch.autocast(samples.device.type, enabled=False):
        voiced, logs = pitch(samples, RATE, HOP)
    place = ((logs - _LOWEST) * (_NOTES / 1.9)).long().clamp(0, _NOTES - 1)
    return torch.where(voiced, 1 + place, 0)


def magnitudes(samples: Tensor) -> Tensor:
    """`engines.spectra.magnitudes` for a batch, (B, n) → (B, 1025, n / 640)."""
    padded = F.pad(samples[:, None], (704, 704), "reflect")[:, 0]
    window = torch.hann_window(2048, device=samples.device)
    spectrum = torch.stft(padded, 2048, HOP, window=window, center=False, return_complex=True)
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + 1e-8)


_banks: dict[torch.device, Tensor] = {}


def log_mel(samples: Tensor) -> Tensor:
    """(B, n) → (B, 128, n / 640)."""
    if samples.device not in _banks:
        banks = torch.as_tensor(slaney_mel_banks(_MEL), dtype=torch.float32)
        _banks[samples.device] = banks.to(samples.device)
    banks = _banks[samples.device]
    with torch.autocast(samples.device.type, enabled=False):
        return torch.log((banks @ magnitudes(samples)).clamp(min=1e-5))


def _spectral(made: Tensor, real: Tensor) -> Tensor:
    """Log magnitudes at three resolutions (Yamamoto et al. 2020)."""
    parts = []
    for size, hop in _SPECTRA:
        window = torch.hann_window(size, device=made.device)
        a, b = (
            torch.stft(x, size, hop, window=window, return_complex=True).abs().clamp(min=1e-4)
            for x in (made, real)
        )
        parts.append((a.log() - b.log()).abs().mean())
    return torch.stack(parts).mean()


def _start(vits: Vits) -> None:
    """Beginnings that the shipped network does not need to know of."""
    for name, parameter in vits.named_parameters():
        if "emb_rel" in name:
            nn.init.normal_(parameter, std=parameter.shape[-1] ** -0.5)
    nn.init.normal_(
        vits.enc_p.text_embedding.weight, std=vits.enc_p.text_embedding.embedding_dim**-0.5
    )
    couplings: Iterable[Any] = vits.flow.couplings  # lists of networks know no types
    for coupling in couplings:
        nn.init.zeros_(coupling.post.weight)
        nn.init.zeros_(coupling.post.bias)
        for layer in (
            coupling.enc.cond_layer,
            *coupling.enc.in_layers,
            *coupling.enc.res_skip_layers,
        ):
            weight_norm(layer)
    for up in vits.dec.ups:
        weight_norm(up)
    blocks: Iterable[Any] = vits.dec.resblocks
    for block in blocks:
        for conv in (*block.convs1, *block.convs2):
            weight_norm(conv)
    # Learned with the content encoder, and frozen since.
    for parameter in (vits.codebook, *vits.ssl_proj.parameters()):
        parameter.requires_grad_(False)
