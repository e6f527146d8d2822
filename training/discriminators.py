"""Who tells speech from the generator's: by periods (Kong et al. 2020) and spectra (Jang 2021)."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PERIODS = (2, 3, 7)
SPECTRA = ((1024, 256), (2048, 512), (512, 128))
_SLOPE = 0.1


class Discriminators(nn.Module):
    """All of them; each gives a verdict and its layers' outputs."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        periods = [PeriodDiscriminator(period, width) for period in PERIODS]
        spectra = [SpectrumDiscriminator(fft, hop, width) for fft, hop in SPECTRA]
        self.members = nn.ModuleList([*periods, *spectra])

    def forward(self, samples: Tensor) -> list[list[Tensor]]:
        """(B, 1, n) → for each member its layers' outputs, the verdict last."""
        return [member(samples) for member in self.members]

    def compare(self, real: Tensor, made: Tensor) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Outputs of speech and of the generator's (each (B, 1, n)), in one pass."""
        both = [[layer.chunk(2) for layer in member] for member in self(torch.cat([real, made]))]
        first = [[pair[0] for pair in member] for member in both]
        return first, [[pair[1] for pair in member] for member in both]


class PeriodDiscriminator(nn.Module):
    """Looks at every p-th sample."""

    def __init__(self, period: int, width: int) -> None:
        super().__init__()
        self.period = period
        sizes = (1, width, 4 * width, 8 * width, 16 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, (5, 1), (3, 1), (2, 0)) for a, b in itertools.pairwise(sizes)
        )
        self.layers.append(nn.Conv2d(sizes[-1], sizes[-1], (5, 1), 1, (2, 0)))
        self.verdict = nn.Conv2d(sizes[-1], 1, (3, 1), 1, (1, 0))

    def forward(self, samples: Tensor) -> list[Tensor]:
        """(B, 1, n) → outputs."""
        missing = -samples.shape[2] % self.period
        x = F.pad(samples, (0, missing), "reflect")
        x = x.reshape(*x.shape[:2], -1, self.period)
        return _through(self.layers, self.verdict, x)


class SpectrumDiscriminator(nn.Module):
    """Looks at a magnitude spectrum."""

    window: Tensor

    def __init__(self, fft: int, hop: int, width: int) -> None:
        super().__init__()
        self.fft, self.hop = fft, hop
        self.register_buffer("window", torch.hann_window(fft), persistent=False)
        # Half the frequencies after each: the large maps are what a step spends its time on.
        self.layers = nn.ModuleList([nn.Conv2d(1, width, (9, 3), (2, 1), (4, 1))])
        for _ in range(3):
            self.layers.append(nn.Conv2d(width, width, (9, 3), (2, 1), (4, 1)))
        self.layers.append(nn.Conv2d(width, width, 3, padding=1))
        self.verdict = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, samples: Tensor) -> list[Tensor]:
        """(B, 1, n) → outputs."""
        spectrum = torch.stft(
            samples[:, 0].float(), self.fft, self.hop, window=self.window, return_complex=True
        ).abs()
        return _through(self.layers, self.verdict, spectrum.clamp(min=1e-5).sqrt()[:, None])


def _through(layers: nn.ModuleList, verdict: nn.Conv2d, x: Tensor) -> list[Tensor]:
    outputs = []
    for layer in layers:
        x = F.leaky_relu(layer(x), _SLOPE)
        outputs.append(x)
    return [*outputs, verdict(x)]


def discriminator_loss(real: list[list[Tensor]], made: list[list[Tensor]]) -> Tensor:
    """Least squares (Mao et al. 2017): speech is 1, the generator's 0; mean over the members."""
    parts = [
        (1 - r[-1].float()).square().mean() + m[-1].float().square().mean()
        for r, m in zip(real, made, strict=True)
    ]
    return torch.stack(parts).sum()


def generator_losses(real: list[list[Tensor]], made: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
    """How far the generator is from 1, and how far its layers' outputs are from speech's."""
    fooled = torch.stack([(1 - member[-1].float()).square().mean() for member in made]).sum()
    features = [
        (a.detach() - b).abs().mean(dtype=torch.float32)
        for r, m in zip(real, made, strict=True)
        for a, b in zip(r[:-1], m[:-1], strict=True)
    ]
    return fooled, 2 * torch.stack(features).sum()
