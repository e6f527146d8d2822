"""Golden group `bert`: tokens, every hidden state, and the features they become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from engines.checkpoint import load_bert
from engines.golden.folder import Folder, Vectors
from engines.golden.recording import recording
from engines.networks import bert


def recompute(folder: Folder, vectors: Vectors) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of `bert.npz`."""
    root = folder.checkpoint("bert_tiny").parent
    checkpoint = load_bert(root)
    whole = bert.load(checkpoint.config, checkpoint.weights, checkpoint.config.num_hidden_layers)
    tokenizer = Tokenizer.from_file(str(root / "tokenizer.json"))
    ids = np.array([tokenizer.encode(str(vectors.input("text"))).ids])
    yield "input_ids", ids
    with recording(whole) as record:
        whole(torch.from_numpy(ids))
    yield "hidden0", record.outputs["embeddings"]
    for layer in range(checkpoint.config.num_hidden_layers):
        yield f"hidden{layer + 1}", record.outputs[f"encoder.layer.{layer}"]
    used = bert.load(checkpoint.config, checkpoint.weights)
    characters = used(torch.from_numpy(ids))[0, 1:-1].numpy()
    yield "char_feature", characters
    yield "phone_feature", np.repeat(characters, vectors.input("word2ph"), axis=0).T
