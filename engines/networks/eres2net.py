"""ERes2NetV2 (Chen et al. 2024): a log-mel filterbank → a vector that says who speaks.

Every size follows from the weights. Attributes are named as the official file names its weights.
Shapes are (batch, channels, mel bands, frames). The embedding is the mean over time of the last
feature map; the classification layers behind it are not built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.errors import CheckpointError
from engines.networks.layers import with_weights

BANDS = 80
SCALE = 4
EXPANSION = 4
STAGES = 4
FUSED_STAGES = (3, 4)
CEILING = 20.0
REDUCTION = 4
_BLOCK = re.compile(r"layer(\d)\.(\d{1,2})\.")


def load(weights: Mapping[str, Tensor]) -> ERes2Net:
    """The network of an official file, from float32 weights without counters.

    Raises:
        CheckpointError: weights are missing, left over or of contradicting sizes.
    """
    stem = weights.get("conv1.weight")
    blocks = [
        1
        + max(
            (int(m[2]) for m in map(_BLOCK.match, weights) if m and int(m[1]) == stage), default=-1
        )
        for stage in range(1, STAGES + 1)
    ]
    widths = [weights.get(f"layer{stage}.0.convs.0.weight") for stage in range(1, STAGES + 1)]
    if stem is None or not all(blocks) or any(width is None for width in widths):
        raise CheckpointError("not a speaker network: its first layers are missing")
    return with_weights(
        lambda: ERes2Net(stem.shape[0], blocks, [w.shape[0] for w in widths if w is not None]),
        weights,
    )


class ERes2Net(nn.Module):
    """The whole network.

    Args:
        channels: of the first convolution; stage s works with `channels · 2^s`.
        blocks: residual blocks per stage.
        widths: channels of a block's parts, per stage.
    """

    def __init__(self, channels: int, blocks: list[int], widths: list[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        stages = []
        entering = channels
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
            leaving = EXPANSION * channels << (number - 1)
            sizes = [(entering, 1 if number == 1 else 2)] + [(leaving, 1)] * (count - 1)
            fused = number in FUSED_STAGES
            stages.append(
                nn.Sequential(*(Block(into, width, leaving, s, fused) for into, s in sizes))
            )
            entering = leaving
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.layer3_ds = nn.Conv2d(entering // 2, entering, 3, stride=2, padding=1, bias=False)
        self.fuse34 = Fusion(entering)

    def forward(self, fbank: Tensor) -> Tensor:
        """Log-mel filterbank (B, frames, 80) → embedding (B, 320 · channels)."""
        x = F.relu(self.bn1(self.conv1(fbank.transpose(1, 2).unsqueeze(1))))
        third = self.layer3(self.layer2(self.layer1(x)))
        fused = self.fuse34(self.layer4(third), self.layer3_ds(third))
        embedding: Tensor = fused.flatten(1, 2).mean(-1)
        return embedding


def _clip(x: Tensor) -> Tensor:
    return torch.clamp(x, 0.0, CEILING)


class Block(nn.Module):
    """A residual block whose middle convolutions run one after the other over parts (Res2Net)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, fused: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, SCALE * width, 1, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(SCALE * width)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(SCALE)
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALE))
        self.fused = fused
        if fused:
            self.fuse_models = nn.ModuleList(Fusion(width) for _ in range(SCALE - 1))
        self.conv3 = nn.Conv2d(SCALE * width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, bands, T) → (B, outputs, bands/stride, T/stride)."""
        parts = _clip(self.bn1(self.conv1(x))).chunk(SCALE, dim=1)
        done: list[Tensor] = []
        for index, (part, conv, norm) in enumerate(zip(parts, self.convs, self.bns, strict=True)):
            if index and self.fused:
                part = self.fuse_models[index - 1](done[-1], part)
            elif index:
                part = done[-1] + part
            done.append(_clip(norm(conv(part))))
        return _clip(self.bn3(self.conv3(torch.cat(done, dim=1))) + self.shortcut(x))


class Fusion(nn.Module):
    """Attentional fusion of two feature maps (Dai et al. 2021)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // REDUCTION
        self.local_att = nn.Sequential(
            nn.Conv2d(2 * channels, inner, 1),
            nn.BatchNorm2d(inner),
            nn.SiLU(),
            nn.Conv2d(inner, channels, 1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two maps (B, C, bands, T) → one of the same shape."""
        balance = 1.0 + torch.tanh(self.local_att(torch.cat([x, y], dim=1)))
        return x * balance + y * (2.0 - balance)
