"""How often would a model in fewer bits draw another token than the reference?

Both read the same sentences and are fed the same tokens, those the reference finds likeliest; after
each token their distributions are compared. The total variation of two distributions is the share
of draws that differ at best; two models in float32 have one below 1e-4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.backends import Array, Backend, Feed, Session
from engines.sampling import Floats

Tokens = npt.NDArray[np.int64]

SENTENCES, PHONES, PROMPT, STEPS = 8, 40, 50, 40

MOST_VARIATION, LEAST_AGREEMENT = 0.05, 0.92
"""What fewer bits may cost; 4 bits cost a full-size model 0.27 and 0.75.

Where two tokens are nearly as likely, rounding decides which is the likeliest: of the same int8
model, two exports that are equal to 1e-6 keep it in 0.95 and 0.94 of 320 tokens (their variation is
0.026 in both). The bound leaves room for that, two standard errors of such a share.
"""


@dataclass(frozen=True, slots=True)
class TokenDrift:
    """What was found, over all tokens.

    Attributes:
        tokens: how many were compared.
        agreement: share of them whose likeliest token is the same.
        variation: mean total variation, 0 to 1.
        error: root mean square of the logits' differences, as a share of the logits' deviation.
    """

    tokens: int
    agreement: float
    variation: float
    error: float

    @property
    def tolerable(self) -> bool:
        """Whether it is within the bound."""
        return self.variation <= MOST_VARIATION and self.agreement >= LEAST_AGREEMENT


def measure_drift(reference: Backend, other: Backend) -> TokenDrift:
    """Compare two backends with the same model over random sentences.

    Raises:
        DeviceError: a device failed.
    """
    logits, tokens = record_logits(reference)
    made, _ = record_logits(other, tokens)
    return compare_logits(logits, made)


def record_logits(backend: Backend, tokens: Tokens | None = None) -> tuple[Floats, Tokens]:
    """What a backend makes of the random sentences, to be compared elsewhere.

    Args:
        backend: reads them.
        tokens: [sentences, steps] that are fed; by default those that it finds likeliest.

    Returns:
        Logits [sentences, steps, vocabulary], and the tokens that were fed.

    Raises:
        DeviceError: the device failed.
    """
    reader = _Reader(backend)
    heard, fed = [], np.zeros((SENTENCES, STEPS), np.int64)
    for seed in range(SENTENCES):
        logits = reader.read(seed)
        for step in range(STEPS):
            heard.append(logits)
            # Never the end: it would leave nothing to compare.
            token = int(logits[:-1].argmax()) if tokens is None else int(tokens[seed, step])
            fed[seed, step] = token
            logits = reader.step(token, step)
    return np.array(heard).reshape(SENTENCES, STEPS, -1), fed


def compare_logits(expected: Floats, made: Floats) -> TokenDrift:
    """How far logits [..., vocabulary] are from those of the reference after the same tokens."""
    difference = np.square(expected - made).mean(axis=-1)
    errors = difference / np.maximum(expected.var(axis=-1), 1e-12)
    variations = np.abs(_chances(expected) - _chances(made)).sum(axis=-1) / 2
    agreements = expected.argmax(axis=-1) == made.argmax(axis=-1)
    return TokenDrift(
        agreements.size,
        float(agreements.mean()),
        float(variations.mean()),
        float(np.sqrt(errors.mean())),
    )


class _Reader:
    """One backend with one sentence in its cache."""

    def __init__(self, backend: Backend) -> None:
        self._model = backend.model
        self._prefill, self._decode = backend.load("t2s_prefill"), backend.load("t2s_decode")
        model, places = backend.model, PHONES + PROMPT + STEPS + 1
        shape = (model.layers, 1, model.heads, places, model.head_size)
        self._cache: dict[str, Feed] = {
            name: np.zeros(shape, np.float32) for name in ("keys", "values")
        }

    def read(self, seed: int) -> Floats:
        """Logits after a random sentence, [vocabulary]."""
        random = np.random.default_rng(seed)
        features = random.normal(0, 0.5, (1, self._model.bert_width, PHONES))
        return self._run(
            self._prefill,
            phones=random.integers(0, self._model.phones, (1, PHONES)),
            bert=features.astype(np.float32),
            prompt=random.integers(0, self._model.codes, (1, PROMPT)),
            slot=np.zeros(1, np.int64),
        )

    def step(self, token: int, step: int) -> Floats:
        """Logits after one more token, [vocabulary]."""
        return self._run(
            self._decode,
            token=np.array([token]),
            position=np.array([PROMPT + step]),
            length=np.array([PHONES + PROMPT + step]),
        )

    def _run(self, session: Session, **feeds: Array) -> Floats:
        outputs = session.run({**feeds, **self._cache}, keep=("keys", "values"))
        self._cache = {name: outputs[name] for name in ("keys", "values")}
        return np.asarray(outputs["logits"][0], np.float64)


def _chances(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
