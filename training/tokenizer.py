"""The content encoder: speech → semantic tokens that say what and how, not who.

HuBERT's architecture, the halving convolution and the codebook of SoVITS, trained together by
supervision through the bottleneck: from the 25 tokens a second a small head must tell the phones
(their timing is known), the relative pitch and its own continuous features; a head that tries to
tell the speaker gets its gradient reversed (Ganin & Lempitsky 2015). Afterwards all three are
frozen, so SoVITS and T2S learn from the same tokens, in any order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.hubert import Hubert
from engines.networks.vits import CODES
from engines.spec import HubertConfig
from training.corpus import CODE, PITCHES, Corpus, halved, pitch_classes, silent
from training.phones import class_table
from training.quantizer import Quantizer

SECONDS = (2, 4, 6)
"""Lengths of windows, one of them for each step."""


class Tokenizer(nn.Module):
    """What is shipped of this training: features, their halving, the codebook."""

    def __init__(self, config: HubertConfig, codes: int = CODES) -> None:
        super().__init__()
        self.hubert = Hubert(config)
        self.ssl_proj = nn.Conv1d(config.hidden_size, config.hidden_size, 2, stride=2)
        self.quantizer = Quantizer(codes, config.hidden_size)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """16 kHz (B, n) → projected (B, N, C), quantised (B, N, C), codes (B, N), loss."""
        projected = self.ssl_proj(self.hubert(samples).transpose(1, 2)).transpose(1, 2)
        return projected, *self.quantizer(projected)


class Judges(nn.Module):
    """Who reads the tokens while training: phones and pitch, and an opponent for the speaker."""

    def __init__(self, channels: int, speakers: int) -> None:
        super().__init__()
        classes = max(class_table().values()) + 1
        self.context = nn.Sequential(
            nn.Conv1d(channels, 256, 3, padding=1),
            nn.GELU(),
            nn.Conv1d(256, 256, 3, padding=1),
            nn.GELU(),
        )
        self.plain = nn.Linear(channels, 2 * classes)
        self.phones = nn.Linear(256, 2 * classes)
        self.pitch = nn.Linear(channels, PITCHES)
        self.speaker = nn.Sequential(nn.Linear(channels, 256), nn.GELU(), nn.Linear(256, speakers))

    def forward(self, tokens: Tensor, turned: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens (B, N, C) → logits of phones alone and in context, of pitch, of the speaker."""
        batch, length, _ = tokens.shape
        context = self.context(tokens.transpose(1, 2)).transpose(1, 2)
        opponent = _turned(tokens, turned)
        return (
            self.plain(tokens).view(batch, 2 * length, -1),
            self.phones(context).view(batch, 2 * length, -1),
            self.pitch(tokens),
            self.speaker(opponent),
        )


def losses(
    tokenizer: Tokenizer, judges: Judges, batch: Batch, turned: float = 0.1
) -> dict[str, Tensor]:
    """The parts of the loss under "total", and what they are made of."""
    projected, quantized, _, commitment = tokenizer(batch.heard)
    length = projected.shape[1]
    straight = judges(projected, 0.0)
    alone, context, pitch, speaker = judges(quantized, turned)
    phones = batch.phones[:, : 2 * length]
    parts = {
        "phones_alone": _cross(alone, phones),
        "phones": _cross(context, phones),
        "pitch": _cross(pitch, batch.pitch[:, :length]),
        "phones_continuous": _cross(straight[0], phones) + _cross(straight[1], phones),
        "pitch_continuous": _cross(straight[2], batch.pitch[:, :length]),
        "speaker": _cross(speaker, batch.speaker[:, None].expand(-1, length)),
        "commitment": commitment,
    }
    weights = {"pitch": 0.5, "pitch_continuous": 0.5, "speaker": 1.0}
    parts["total"] = torch.stack([weights.get(k, 1.0) * v for k, v in parts.items()]).sum()
    parts["right"] = (context.argmax(2) == phones).float().mean()
    return parts


class Batch:
    """Windows of speech and what is known of them.

    Attributes:
        heard: 16 kHz (B, n), disturbed.
        phones: classes at 50 a second (B, 2N).
        pitch: classes at 25 a second (B, N).
        speaker: (B,).
    """

    def __init__(self, corpus: Corpus, utterances: Tensor, seconds: int, disturb: bool) -> None:
        length = seconds * 32_000
        latest = (corpus.lengths[utterances] - length // 2).clamp(min=1)
        first = (torch.rand(len(utterances), device=latest.device) * latest).long()
        wide = corpus.windows(utterances, first, length)
        clean = halved(wide)
        # HuBERT's frame i looks at 400 samples from 320 i on; its middle is what it hears.
        middles = torch.arange(length // 640, device=first.device) * 640 + 400
        phones = corpus.phone_at(utterances, first[:, None] + middles)
        self.phones = torch.where(silent(wide, CODE // 2), 0, phones)
        self.pitch = pitch_classes(clean)
        self.speaker = corpus.speaker[utterances]
        self.heard = disturbed(clean) if disturb else clean


def draw(corpus: Corpus, seconds_of_speech: int, disturb: bool = True) -> Batch:
    """A batch of windows of one length, so many that they are that long together."""
    seconds = SECONDS[int(torch.randint(len(SECONDS), ()))]
    count = max(seconds_of_speech // seconds, 2)
    device = corpus.audio.device
    return Batch(corpus, torch.randint(len(corpus), (count,), device=device), seconds, disturb)


def disturbed(samples: Tensor) -> Tensor:
    """Another room, another microphone, noise: half of the rows each.

    Rows are 16 kHz (B, n). The echo is noise that decays within 0.1 to 0.4 s, the microphone a
    random smooth response, the noise 5 to 35 dB below the speech.
    """
    batch, length = samples.shape
    device = samples.device

    def chosen() -> Tensor:
        return (torch.rand(batch, 1, device=device) < 0.5).float()

    time = torch.arange(6400, device=device) / 16_000
    decay = torch.exp(-6.9 * time / (0.1 + 0.3 * torch.rand(batch, 1, device=device)))
    echo = torch.randn(batch, 6400, device=device) * decay * 0.04 * chosen()
    echo[:, 0] = 1.0
    size = length + 6400
    bands = torch.randn(batch, 1, 12, device=device) * 0.6 * chosen()[:, None]
    response = F.interpolate(bands, size // 2 + 1, mode="linear", align_corners=True)[:, 0].exp()
    spectrum = torch.fft.rfft(samples, size) * torch.fft.rfft(echo, size) * response
    heard = torch.fft.irfft(spectrum, size)[:, :length]
    loudness = heard.square().mean(1, keepdim=True).sqrt()
    ratio = 10 ** (-(5 + 30 * torch.rand(batch, 1, device=device)) / 20)
    noise = torch.randn_like(heard)
    # Half of the noises are dark, as fans are.
    dark = F.avg_pool1d(noise[:, None], 9, 1, 4)[:, 0] * 3
    noise = torch.where(chosen().bool(), dark, noise)
    gain = 10 ** ((torch.rand(batch, 1, device=device) * 20 - 14) / 20)
    return torch.mul(heard + noise * loudness * ratio * chosen(), gain)


@torch.no_grad()
def encode(tokenizer: Tokenizer, corpus: Corpus, seconds_of_speech: int = 400) -> list[Tensor]:
    """Tokens of every utterance as enrolment hears it, with 0.6 s of silence behind.

    Utterances of about one length share a batch; the silence is up to 0.32 s longer for that.

    Returns:
        int16 tokens of each; the first `length // CODE` are speech, at least 14 more silence.
    """
    tokenizer.eval()
    torch.backends.cudnn.benchmark = False  # every length would be tried out anew
    block = 10_240  # 0.32 s at 32 kHz
    padded = (corpus.lengths + 19_200 + block - 1) // block * block
    codes: list[Tensor] = [torch.empty(0)] * len(corpus)
    for length in sorted(set(padded.tolist())):
        members = (padded == length).nonzero()[:, 0]
        for part in members.split(max(seconds_of_speech * 32_000 // length, 1)):
            samples = halved(corpus.windows(part, torch.zeros_like(part), length))
            found = tokenizer(samples)[2].to(torch.int16)
            for number, row in zip(part.tolist(), found, strict=True):
                codes[number] = row[: int(corpus.lengths[number]) // CODE + 15].clone()
    return codes


def _cross(logits: Tensor, wanted: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1).float(), wanted.flatten())


class _Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.factor * gradient, None  # type: ignore[attr-defined]


def _turned(x: Tensor, factor: float) -> Tensor:
    out: Tensor = _Turn.apply(x, factor)  # type: ignore[no-untyped-call]
    return out
