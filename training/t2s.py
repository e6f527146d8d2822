"""T2S: phones and the tokens heard so far → the next token, by teacher forcing.

Every example is a pair of utterances of one speaker, as in use: the phones of both, the prompt's
tokens with the silence that enrolment appends, and the target's tokens to be told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engines.networks.t2s import BERT_CHANNELS, T2S
from engines.spec import T2SConfig

SILENCE = 15
"""Tokens of silence behind a prompt."""


@dataclass(frozen=True, slots=True)
class Example:
    """One utterance.

    Attributes:
        phones: ids.
        codes: tokens, at least 14 of silence behind the speech included.
        speech: how many tokens are speech.
    """

    phones: Tensor
    codes: Tensor
    speech: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences [phones ; tokens], each filled up behind.

    Attributes:
        phones, phone_count: (B, n), (B,).
        tokens, token_count: what the network hears (B, m), (B,).
        wanted: the token after each of `tokens` (B, m), -1 where nobody asks.
        first: the first token where there is no prompt to tell it from (B,), else -1.
    """

    phones: Tensor
    phone_count: Tensor
    tokens: Tensor
    token_count: Tensor
    wanted: Tensor
    first: Tensor

    def to(self, device: str) -> Batch:
        """The same on a device."""
        fields = (getattr(self, name) for name in Batch.__slots__)
        return Batch(*(field.to(device, non_blocking=True) for field in fields))

    def misheard(self, share: float, codes: int) -> Batch:
        """Some of the heard tokens replaced by any: what was drawn before may have been wrong."""
        wrong = torch.rand(self.tokens.shape, device=self.tokens.device) < share
        return replace(
            self, tokens=torch.where(wrong, torch.randint_like(self.tokens, codes), self.tokens)
        )


def start(config: T2SConfig) -> T2S:
    """A network at its beginning."""
    network = T2S(config)
    for name, parameter in network.named_parameters():
        if name.endswith("in_proj_weight"):
            nn.init.xavier_uniform_(parameter)
        elif name.endswith("in_proj_bias"):
            nn.init.zeros_(parameter)
        elif name.endswith("word_embeddings.weight"):
            nn.init.normal_(parameter, std=config.hidden_dim**-0.5)
    # English has no BERT features: what multiplies nothing stays nothing.
    nn.init.zeros_(network.bert_proj.weight)
    return network


def collate(pairs: list[tuple[Example | None, Example]], eos: int) -> Batch:
    """A batch of (prompt or none, target)."""
    phones, tokens, wanted = [], [], []
    for prompt, target in pairs:
        spoken = target.codes[: target.speech].long()
        heard = spoken[:0] if prompt is None else prompt.codes[: prompt.speech + SILENCE].long()
        parts = [target.phones] if prompt is None else [prompt.phones, target.phones]
        phones.append(torch.cat(parts))
        tokens.append(torch.cat([heard, spoken]))
        # The prompt's own tokens teach as much as the target's; its silence says nothing.
        told = 0 if prompt is None else prompt.speech
        silence = torch.full((max(len(heard) - 1 - told, 0),), -1, device=spoken.device)
        end = torch.tensor([eos], device=spoken.device)
        wanted.append(torch.cat([heard[1 : told + 1], silence, spoken, end])[-len(tokens[-1]) :])
    return Batch(
        _stacked(phones, 0),
        _counts(phones),
        _stacked(tokens, 0),
        _counts(tokens),
        _stacked(wanted, -1),
        torch.stack(
            [t.codes[0].long() if p is None else t.codes.new_tensor(-1).long() for p, t in pairs]
        ),
    )


def loss(network: T2S, batch: Batch) -> dict[str, Tensor]:
    """Cross entropy of the wanted tokens under "total", and the share told right."""
    rows, width = batch.phones.shape
    bert = torch.zeros(1, 1, 1, device=batch.phones.device).expand(rows, BERT_CHANNELS, width)
    x = network.embed(batch.phones, bert, batch.tokens)
    visible = _visible(batch)
    for block in network.h:
        query, key, value = block.self_attn.project(x)
        x = block.finish(x, block.self_attn.attend(query, key, value, visible))
    last = x[torch.arange(len(x), device=x.device), batch.phone_count - 1]
    # Without a prompt the first token is told from the last phone.
    heard = torch.cat([last[:, None], x[:, width:]], dim=1)
    wanted = torch.cat([batch.first[:, None], batch.wanted], dim=1)
    logits = network.ar_predict_layer(heard).float()
    # Masks, not selections: a GPU would have to wait for the number of what is selected.
    each = F.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=-1, reduction="none"
    )
    asked = wanted.flatten() >= 0
    ends = wanted.flatten() == network.ar_predict_layer.out_features - 1
    right = (logits.argmax(2) == wanted).flatten()
    return {
        "total": each.sum() / asked.sum(),
        "right": right.sum() / asked.sum(),
        "end": (each * ends).sum() / ends.sum(),
    }


def buckets(lengths: list[int], tokens: int) -> list[list[int]]:
    """Put numbers of about one length together, each bucket of at most so many tokens."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    out: list[list[int]] = [[]]
    for number in order:
        if out[-1] and (len(out[-1]) + 1) * lengths[number] > tokens:
            out.append([])
        out[-1].append(number)
    return out


def _visible(batch: Batch) -> Tensor:
    """(B, 1, S, S): as `engines.networks.t2s.prefill_visible`, without what fills up."""
    phones, tokens = batch.phones.shape[1], batch.tokens.shape[1]
    place = torch.arange(phones + tokens, device=batch.phones.device)
    is_phone = place < phones
    real = torch.where(
        is_phone, place < batch.phone_count[:, None], place - phones < batch.token_count[:, None]
    )
    causal = (place[None] <= place[:, None]) & ~is_phone[:, None]
    return ((is_phone[None] | causal)[None] & real[:, None])[:, None]


def _stacked(rows: list[Tensor], filling: int) -> Tensor:
    stacked = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=filling)
    return F.pad(stacked, (0, -stacked.shape[1] % 8), value=filling)  # widths that kernels like


def _counts(rows: list[Tensor]) -> Tensor:
    return torch.tensor([len(row) for row in rows], device=rows[0].device)
