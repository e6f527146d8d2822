"""SoVITS in 8 bits for the GPU: explicit Q/DQ graphs with ranges from sentences that were spoken.

The second stage is computed once for every sentence, on products of known ranges: weights get a
scale for each row, activations one for each tensor, all symmetric, as TensorRT wants them. The last
products stay as they are (see `engines.half`). The text-to-semantic network is not among them: its
tokens are drawn in float16. The bound holds both: what float16 costs the tokens of this model, and
what 8 bits cost its sound.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from engines.backends import Array, Backend, Feed, Session
from engines.backends.onnxruntime_backend import (
    PRIOR,
    HostTensor,
    OnnxRuntimeBackend,
    OnnxRuntimeSession,
    PrefillSession,
    host_array,
)
from engines.build import CALIBRATED, graph_model
from engines.errors import ConvertError
from engines.graphs import HEARD, graphs
from engines.half import last_products
from engines.model_folder import ModelFolder
from engines.padding import without_padding
from engines.sampling import Floats
from engines.token_drift import LEAST_AGREEMENT, MOST_VARIATION, TokenDrift, measure_drift

GRAPHS = ("vits_encode", "vits_flow", "vits_generate")
ADVISED = 1000
"""Sentences that give every sound of a language its turn."""
HELD_OUT = 8
"""Of so many sentences, one is for the check and not for the ranges."""
MOST_DISTANCE = 3.0
"""Decibels, see `spectral_distance`; beyond it int8 is refused."""

_FRAME, _FLOOR = 1024, 1e-4
_TYPES = ["Conv", "MatMul"]

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Cost:
    """How far an int8 build is from float32.

    Attributes:
        distance: of the sound in decibels, see `spectral_distance`.
        drift: of the tokens.
    """

    distance: float
    drift: TokenDrift


class Recorder:
    """A backend that notes what the SoVITS graphs are fed.

    Args:
        backend: computes.
    """

    def __init__(self, backend: Backend) -> None:
        self.name, self.model = backend.name, backend.model
        self.fed: dict[str, list[dict[str, Array]]] = {graph: [] for graph in GRAPHS}
        self._backend = backend

    def load(self, graph: str) -> Session:
        """See `Backend.load`."""
        session = self._backend.load(graph)
        return _Noting(session, self.fed[graph]) if graph in self.fed else session

    def close(self) -> None:
        """See `Backend.close`."""
        self._backend.close()


class _Noting:
    def __init__(self, session: Session, fed: list[dict[str, Array]]) -> None:
        self._session, self._fed = session, fed

    def run(self, feeds: Mapping[str, Feed], keep: Any = ()) -> dict[str, Any]:
        arrays = {name: host_array(feed) for name, feed in feeds.items()}
        self._fed.append({name: array.copy() for name, array in arrays.items()})
        return self._session.run(feeds, keep)


def calibrate(
    folder: ModelFolder,
    fed: Mapping[str, list[dict[str, Array]]],
    progress: Progress = lambda done, total, what: None,
) -> Cost:
    """Write the Q/DQ graphs into the model's folder, all of them or none.

    Args:
        folder: a model converted in float32.
        fed: what `Recorder` noted, at least two sentences.
        progress: called with sentences done, sentences in all, and for what.

    Returns:
        The sound's distance over sentences that gave no range, and what the tokens cost.

    Raises:
        ConvertError: there are too few sentences, or the tokens or the sound are too far away.
    """
    folder.check_for_cards()
    if min(len(feeds) for feeds in fed.values()) < 2:
        raise ConvertError("at least two sentences must be spoken for a calibration")
    progress(0, 1, "comparing tokens")
    drift = token_cost(folder)
    if not drift.tolerable:
        raise ConvertError(
            f"an int8 build draws its tokens in float16, which costs this model too much: "
            f"{drift.variation:.1%} would be drawn differently (at most {MOST_VARIATION:.0%}), the "
            f"likeliest token stays in {drift.agreement:.1%} (at least {LEAST_AGREEMENT:.0%}); "
            "use fp32"
        )
    rows = graphs(folder.model)
    fed = {graph: [without_padding(rows[graph], each) for each in fed[graph]] for graph in GRAPHS}
    with tempfile.TemporaryDirectory(prefix=".calibrate-", dir=folder.root) as scratch:
        made: dict[str, Path] = {}
        for graph in GRAPHS:
            made[graph] = Path(scratch) / CALIBRATED.format(graph)
            ranges = [each for number, each in enumerate(fed[graph]) if number % HELD_OUT]
            _quantize(folder, graph, _watched(ranges, graph, progress), made[graph])
        progress(1, 1, "comparing sounds")
        distance = _distance(folder, made, fed)
        if not distance <= MOST_DISTANCE:
            raise ConvertError(
                f"int8 would be {distance:.1f} dB away from float32 in its spectrum, at most "
                f"{MOST_DISTANCE:.1f} are allowed; calibrate with more sentences "
                f"({len(fed[GRAPHS[0]])} were given), or use fp16"
            )
        for graph, file in made.items():
            file.replace(folder.root / CALIBRATED.format(graph))
    return Cost(distance, drift)


def _watched(
    ranges: Sequence[dict[str, Array]], graph: str, progress: Progress
) -> Iterator[dict[str, Array]]:
    for done, feeds in enumerate(ranges):
        progress(done, len(ranges), f"ranges of {graph}")
        yield feeds


def token_cost(folder: ModelFolder) -> TokenDrift:
    """How far the tokens of an int8 build, drawn in float16, are from those of float32."""
    return measure_drift(OnnxRuntimeBackend(folder.root), _HalfTokens(folder))


class _HalfTokens:
    """The token graphs of an int8 build on the CPU."""

    name = "half"

    def __init__(self, folder: ModelFolder) -> None:
        self.model, self._folder = folder.model, folder

    def load(self, graph: str) -> Session:
        """See `Backend.load`."""
        kind = _Prefill if graph == "t2s_prefill" else _PlainStep
        model = graph_model(self._folder, graph, "fp16")
        return kind(graphs(self.model)[graph], _session(model))

    def close(self) -> None:
        """See `Backend.close`."""


class _Prefill(PrefillSession):
    """The prefill as TensorRT reads it, in one row."""

    def _call(self, outputs: list[str], feeds: dict[str, Array]) -> list[Array]:
        return super()._call(outputs, without_padding(self._graph, feeds))


class _PlainStep(OnnxRuntimeSession):
    """The step as TensorRT reads it: its cache comes out under other names."""

    def _compute(self, feeds: Mapping[str, Feed], keep: Collection[str]) -> dict[str, Array]:
        arrays = {
            name: feed.array if isinstance(feed, HostTensor) else np.asarray(feed)
            for name, feed in feeds.items()
        }
        logits, keys, values = self._call(["logits", "new_keys", "new_values"], arrays)
        return {"logits": logits, "keys": keys, "values": values}


def spectral_distance(expected: Floats, made: Floats) -> float:
    """Root mean square difference of two sounds' magnitudes in decibels.

    Frames of 1024 samples that are silent in the expected sound (40 dB below its loudest) are left
    out, and so is what lies 80 dB below full scale.
    """
    left, right = (_spectrum(sound) for sound in (expected, made))
    loud = left.max(axis=1)
    heard = loud > loud.max() / 100
    difference = 20 * (np.log10(left[heard]) - np.log10(right[heard]))
    return float(np.sqrt(np.square(difference).mean()))


def _spectrum(sound: Floats) -> Floats:
    whole = np.zeros(max(-(-len(sound) // _FRAME), 1) * _FRAME)
    whole[: len(sound)] = sound
    frames = whole.reshape(-1, _FRAME) * np.hanning(_FRAME)
    return np.asarray(np.abs(np.fft.rfft(frames)) + _FLOOR * _FRAME / 4)


def _distance(
    folder: ModelFolder, made: Mapping[str, Path], fed: Mapping[str, list[dict[str, Array]]]
) -> float:
    """Mean over the held-out sentences, each through all three graphs without noise."""
    models = [
        {graph: _session(graph_model(folder, graph, "fp32")) for graph in GRAPHS},
        {graph: _session(onnx.load(file)) for graph, file in made.items()},
    ]
    row = graphs(folder.model)["vits_flow"]
    styles = {"vits_flow": "flow_style", "vits_generate": "voice_style"}
    constant = {graph: {name: fed[graph][0][name]} for graph, name in styles.items()}
    distances = []
    for feeds in fed["vits_encode"][::HELD_OUT]:
        sounds = []
        for sessions in models:
            mean = sessions["vits_encode"].run(None, feeds)[0][:, :, : HEARD.max]
            # Without noise, so that the two differ by their products alone.
            prior = dict.fromkeys(PRIOR, np.zeros_like(mean)) | {"mean": mean}
            flowed = without_padding(row, {**prior, **constant["vits_flow"]})
            latent = sessions["vits_flow"].run(None, flowed)[0]
            heard = {"latent": latent, **constant["vits_generate"]}
            sounds.append(sessions["vits_generate"].run(None, heard)[0][0])
        distances.append(spectral_distance(*sounds))
    return float(np.mean(distances))


def _quantize(
    folder: ModelFolder, graph: str, ranges: Iterable[dict[str, Array]], target: Path
) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds: Iterator[dict[str, Array]] = iter(ranges)

        def get_next(self) -> dict[str, Array] | None:
            return next(self._feeds, None)

    model = graph_model(folder, graph, "fp32")
    last = last_products(model.graph)
    with _quietly():
        quantize(
            model,
            target,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_TYPES,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=[
                node.name
                for node in model.graph.node
                if node.op_type in _TYPES
                and (node.output[0] in last or not _has_weights(node, model))
            ],
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
                "DisableShapeInference": True,
            },
        )


def _has_weights(node: Any, model: Any) -> bool:
    """Whether it is a convolution or a product with a matrix.

    The tables of relative positions have an axis more and nine rows: nothing to gain, and not every
    ONNX Runtime takes them in 8 bits.
    """
    sizes = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    known = [sizes[name] for name in node.input if name in sizes]
    return any(node.op_type == "Conv" or len(dims) == 2 for dims in known)


def _session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without the tool's advice to prepare the model, which it is."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
