"""The rows of `engines.graphs` as torch modules: inputs and outputs in the table's order.

The torch backend runs them, and an export traces them, so both mean the same thing by a graph.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.bert import Bert
from engines.networks.eres2net import ERes2Net
from engines.networks.hubert import Hubert
from engines.networks.t2s import T2S
from engines.networks.vits import Vits, drawn


class HubertGraph(nn.Module):
    """wave (1, n) -> features (1, 768, F)."""

    def __init__(self, hubert: Hubert) -> None:
        super().__init__()
        self.hubert = hubert

    def forward(self, wave: Tensor) -> Tensor:
        """See the class."""
        return self.hubert(wave).transpose(1, 2)  # type: ignore[no-any-return]


class QuantizeGraph(nn.Module):
    """features (1, 768, F) -> codes (1, F // 2)."""

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return self.vits.extract_latent(features)


class SpeakerGraph(nn.Module):
    """fbank (1, F, 80) -> embedding (1, 20480)."""

    def __init__(self, speaker: ERes2Net) -> None:
        super().__init__()
        self.speaker = speaker

    def forward(self, fbank: Tensor) -> Tensor:
        """See the class."""
        return self.speaker(fbank)  # type: ignore[no-any-return]


class StyleGraph(nn.Module):
    """spectrum (1, 1025, F) and, where the model uses one, embedding (1, 20480) -> style."""

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(self, spectrum: Tensor, embedding: Tensor | None = None) -> Tensor:
        """See the class; the style is (1, gin, 1)."""
        return self.vits.style(spectrum, embedding)


class ConditionGraph(nn.Module):
    """style (1, gin, 1) -> text_style, flow_style, voice_style, each (1, C, 1)."""

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(self, style: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        return tuple(self.vits.condition(style))  # type: ignore[return-value]


class BertGraph(nn.Module):
    """pieces (1, n) -> features (1, n, 1024), those of the two marks at the ends included."""

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, pieces: Tensor) -> Tensor:
        """See the class."""
        return self.bert(pieces)  # type: ignore[no-any-return]


class PrefillGraph(nn.Module):
    """A sentence into one slot of the cache, the rest of it cleared -> logits (1, V), the cache."""

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self,
        phones: Tensor,
        bert: Tensor,
        prompt: Tensor,
        slot: Tensor,
        keys: Tensor,
        values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Phones (1, n), bert (1, 1024, n), prompt (1, P), slot (1,), cache (L, B, H, C, D/H)."""
        logits, new_keys, new_values = self.t2s.prefill(phones, bert, prompt)
        keys.index_copy_(1, slot, _resized(new_keys, keys.shape[3]))
        values.index_copy_(1, slot, _resized(new_values, values.shape[3]))
        return logits, keys, values


def _resized(cache: Tensor, length: int) -> Tensor:
    """A cache (L, 1, H, T, D/H) with zeros behind it, up to `length` places."""
    # Longer by all of `length` and cut: an exporter cannot know that T is the smaller.
    return F.pad(cache, (0, 0, 0, length))[:, :, :, :length]


class DecodeGraph(nn.Module):
    """One token for each of B slots -> logits (B, V), and the cache."""

    def __init__(self, t2s: T2S) -> None:
        super().__init__()
        self.t2s = t2s

    def forward(
        self, token: Tensor, position: Tensor, length: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Token, position and length (B,), cache (L, B, H, C, D/H)."""
        return self.t2s.step(token, position, length, keys, values)


class EncodeGraph(nn.Module):
    """codes (1, N), phones (1, n), text_style -> mean and log_deviation, each (1, C, 2N).

    The prior is linear in the encoder's frames, so another speed stretches these two instead.
    """

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(
        self,
        codes: Tensor,
        phones: Tensor,
        text_style: Tensor,
        token_mask: Tensor | None = None,
        phone_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """See the class; masks (1, 1, N) and (1, 1, n) where the sentence was lengthened."""
        frame_mask = token_mask
        if token_mask is not None:
            frame_mask = torch.stack([token_mask, token_mask], dim=-1).reshape(1, 1, -1)
        latent = self.vits.latent(codes, phones, text_style, frame_mask, phone_mask)
        project = self.vits.enc_p.proj
        mean, log_deviation = project(latent).split([project.out_channels // 2] * 2, dim=1)
        return mean, log_deviation


class FlowGraph(nn.Module):
    """mean, log_deviation and noise (1, C, T), flow_style -> flowed (1, C, T)."""

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(
        self,
        mean: Tensor,
        log_deviation: Tensor,
        noise: Tensor,
        flow_style: Tensor,
        frame_mask: Tensor | None = None,
    ) -> Tensor:
        """See the class; a mask (1, 1, T) where the sentence was lengthened."""
        latent = drawn(mean, log_deviation, noise)
        return self.vits.flow(latent, flow_style, frame_mask)  # type: ignore[no-any-return]


class GenerateGraph(nn.Module):
    """latent (1, C, T), voice_style -> audio (1, 640 T)."""

    def __init__(self, vits: Vits) -> None:
        super().__init__()
        self.vits = vits

    def forward(self, latent: Tensor, voice_style: Tensor) -> Tensor:
        """See the class."""
        return self.vits.dec(latent, voice_style)[:, 0]  # type: ignore[no-any-return]
