"""Full-size random weights, random sentences, and the torch network they are checked against."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engines.backends.kernels.decode_loop import DecodeLoop, Prefilled
from engines.networks import t2s
from engines.sampling import SamplingParams
from engines.spec import T2SConfig

CONFIG = T2SConfig(
    vocab_size=1025,
    phoneme_vocab_size=732,
    hidden_dim=512,
    head=16,
    n_layer=24,
    eos=1024,
    max_sec=54,
)
LIMIT = 1500


def weights(recipe: Path, end_logit: bool = True) -> dict[str, np.ndarray]:
    """The checkpoint `full_s1` of the golden recipe in `recipe` (a folder), float16."""
    sys.path.insert(0, str(recipe))
    import recipe as golden  # type: ignore[import-not-found]

    made = golden.state_dict(golden.load_manifest("full_s1"))
    if not end_logit:  # nobody stops: for timings
        made["model.ar_predict_layer.weight"][-1] = 0
    return {name.removeprefix("model."): array for name, array in made.items()}


def network(made: dict[str, np.ndarray], dtype: torch.dtype) -> t2s.T2S:
    """The torch network on the GPU."""
    tensors = {f"model.{name}": torch.from_numpy(array).float() for name, array in made.items()}
    return t2s.load(CONFIG, tensors).to("cuda", dtype).eval()


@dataclass
class Sentence:
    """A prefilled sentence: float32 tensors on the GPU."""

    prompt: np.ndarray
    logits: torch.Tensor
    keys: torch.Tensor  # (L, 1, H, n, D/H)
    values: torch.Tensor

    @property
    def length(self) -> int:
        """Filled places."""
        return int(self.keys.shape[3])

    def prefilled(self) -> Prefilled:
        """The same as addresses."""
        pointers = (self.logits.data_ptr(), self.keys.data_ptr(), self.values.data_ptr())
        return Prefilled(*pointers, self.length, self.length)


@torch.inference_mode()
def sentence(net: t2s.T2S, random: np.random.Generator, phones: int, prompt: int) -> Sentence:
    """Random phones, features and prompt through the float32 network's prefill."""
    ids = torch.from_numpy(random.integers(0, 732, (1, phones))).cuda()
    bert = torch.from_numpy(random.standard_normal((1, 1024, phones)).astype(np.float32)).cuda()
    heard = random.integers(0, 1024, (1, prompt))
    logits, keys, values = net.prefill(ids, bert, torch.from_numpy(heard).cuda())
    torch.cuda.synchronize()
    return Sentence(heard[0], logits.contiguous(), keys.contiguous(), values.contiguous())


def admit(
    loop: DecodeLoop, slot: int, spoken: Sentence, params: SamplingParams, **more: Any
) -> None:
    """A sentence into a slot."""
    loop.admit(slot, spoken.prefilled(), spoken.prompt, params, LIMIT, **more)
