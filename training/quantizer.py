"""Vector quantisation with a moving-average codebook (van den Oord et al. 2017, appendix)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DECAY = 0.98
DEAD = 0.2
"""Rows used less often than this share of the average, over the moving window, begin anew."""
COMMITMENT = 0.25


class Quantizer(nn.Module):
    """A codebook that follows the mean of the vectors assigned to each row.

    Buffers have the names of the official files: `embed`, `embed_avg`, `cluster_size`, `inited`.
    """

    embed: Tensor
    embed_avg: Tensor
    cluster_size: Tensor
    inited: Tensor

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.register_buffer("embed", torch.randn(rows, channels))
        self.register_buffer("embed_avg", torch.zeros(rows, channels))
        self.register_buffer("cluster_size", torch.zeros(rows))
        self.register_buffer("inited", torch.zeros(1))
        self._begun = False

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise, and learn while training.

        Args:
            x: (B, N, C).

        Returns:
            The rows (B, N, C), through which gradients pass as if nothing had happened; codes
            (B, N); the commitment loss.
        """
        x = x.float()
        flat = x.detach().flatten(0, 1)
        if self.training and not self._begun:
            self._begin(flat)
        with torch.autocast(x.device.type, enabled=False):  # near rows differ in the last digits
            distance = self.embed.square().sum(1) - 2 * flat @ self.embed.T
        codes = distance.argmin(1)
        rows = F.embedding(codes, self.embed).view(x.shape)
        if self.training:
            self._learn(flat, codes)
        loss = COMMITMENT * F.mse_loss(x, rows)
        return x + (rows - x).detach(), codes.view(x.shape[:2]), loss

    def _begin(self, flat: Tensor) -> None:
        self._begun = True
        if bool(self.inited):
            return  # from a checkpoint
        self.embed.copy_(_drawn(flat, len(self.embed)))
        self.embed_avg.copy_(self.embed)
        self.cluster_size.fill_(1.0)
        self.inited.fill_(1.0)

    def _learn(self, flat: Tensor, codes: Tensor) -> None:
        counts = torch.bincount(codes, minlength=len(self.embed)).float()
        sums = torch.zeros_like(self.embed).index_add_(0, codes, flat)
        self.cluster_size.lerp_(counts, 1 - DECAY)
        self.embed_avg.lerp_(sums, 1 - DECAY)
        dead = self.cluster_size < DEAD * self.cluster_size.mean()
        fresh = _drawn(flat, len(self.embed))
        average = self.cluster_size.mean()
        self.cluster_size.copy_(torch.where(dead, average, self.cluster_size))
        self.embed_avg.copy_(torch.where(dead[:, None], fresh * average, self.embed_avg))
        self.embed.copy_(self.embed_avg / self.cluster_size.clamp(min=1e-5)[:, None])


def _drawn(flat: Tensor, rows: int) -> Tensor:
    return flat[torch.randint(len(flat), (rows,), device=flat.device)]
