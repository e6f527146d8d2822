"""The reference: official checkpoints run by PyTorch, slow and obviously right."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engines import checkpoint
from engines.backends import Array, CheckpointFiles, Feed, check_feeds
from engines.errors import BackendUnavailableError, CheckpointError, DeviceError
from engines.graphs import GraphSpec, ModelFacts, graphs
from engines.networks import bert, eres2net, graph_modules, hubert, t2s, vits

FRAMES_PER_SECOND = 50
LONGEST_SENTENCE = 1500
"""Tokens after which the original ends any sentence."""


class TorchTensor:
    """A tensor that stayed with PyTorch."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its sizes."""
        return tuple(self.tensor.shape)

    def numpy(self) -> Array:
        """A copy as an array."""
        return self.tensor.cpu().numpy().copy()


class TorchSession:
    """One graph as a torch module.

    Args:
        graph: its row in the table.
        module: takes the inputs and gives the outputs in the row's order.
        device: where the module lies, by PyTorch's name for it.
    """

    def __init__(self, graph: GraphSpec, module: nn.Module, device: str = "cpu") -> None:
        self._graph = graph
        self._module = module
        self._device = device

    def run(self, feeds: Mapping[str, Feed], keep: Collection[str] = ()) -> dict[str, Any]:
        """See `Session.run`."""
        check_feeds(self._graph, feeds)
        inputs = [_tensor(feeds[tensor.name]).to(self._device) for tensor in self._graph.inputs]
        try:
            with torch.inference_mode():
                outputs = self._module(*inputs)
        except RuntimeError as error:
            raise DeviceError(f"{self._graph.name}: {error}") from error
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        named = zip(self._graph.outputs, outputs, strict=True)
        return {
            tensor.name: TorchTensor(value) if tensor.name in keep else value.cpu().numpy()
            for tensor, value in named
        }


class TorchBackend:
    """Official checkpoints by PyTorch.

    Args:
        source: the files; each network is read when its first graph is loaded.
        device: where they run, by PyTorch's name for it; the bench compares on the GPU.

    Raises:
        BackendUnavailableError: the source is not a set of checkpoints.
        CheckpointError: the T2S or SoVITS file cannot be used.
    """

    name = "torch"

    def __init__(self, source: CheckpointFiles | Path, device: str = "cpu") -> None:
        self._device = device
        if not isinstance(source, CheckpointFiles):
            raise BackendUnavailableError("the torch backend reads checkpoints, not a folder")
        self._source = source
        text, speech = checkpoint.load_t2s(source.t2s), checkpoint.load_sovits(source.sovits)
        self._t2s = t2s.load(text.config, text.weights)
        self._vits = vits.load(speech.config, speech.weights)
        self.model = _facts(text, speech, _identity(source.sovits))
        self._graphs = graphs(self.model)

    def load(self, graph: str) -> TorchSession:
        """See `Backend.load`.

        Raises:
            CheckpointError: the graph's own file is missing or cannot be used.
        """
        module = self.module(graph).to(self._device)
        return TorchSession(self._graphs[graph], module, self._device)

    def close(self) -> None:
        """Nothing to do: the memory goes with the object."""

    def module(self, graph: str) -> nn.Module:
        """A graph as a module, to run or to export; takes and gives what its row says, in order.

        Raises:
            CheckpointError: the graph's own file is missing or cannot be used.
        """
        if graph == "hubert":
            return graph_modules.HubertGraph(self._hubert)
        if graph == "speaker":
            return graph_modules.SpeakerGraph(self._speaker)
        if graph == "bert":
            return graph_modules.BertGraph(self._bert)
        if graph == "t2s_prefill":
            return graph_modules.PrefillGraph(self._t2s)
        if graph == "t2s_decode":
            return graph_modules.DecodeGraph(self._t2s)
        return _VITS_GRAPHS[graph](self._vits)

    @cached_property
    def _hubert(self) -> hubert.Hubert:
        read = checkpoint.load_hubert(self._source.hubert)
        return hubert.load(read.config, read.weights)

    @cached_property
    def _bert(self) -> bert.Bert:
        read = checkpoint.load_bert(self._source.bert)
        return bert.load(read.config, read.weights)

    @cached_property
    def _speaker(self) -> eres2net.ERes2Net:
        files = sorted(self._source.speaker.glob("*.ckpt"))
        if len(files) != 1:
            raise CheckpointError(
                f"{self._source.speaker}: this model needs the speaker network, "
                f"one .ckpt file; found {len(files)}"
            )
        return eres2net.load(checkpoint.load_speaker(files[0]))


_VITS_GRAPHS: dict[str, type[nn.Module]] = {
    "quantize": graph_modules.QuantizeGraph,
    "style": graph_modules.StyleGraph,
    "condition": graph_modules.ConditionGraph,
    "vits_encode": graph_modules.EncodeGraph,
    "vits_flow": graph_modules.FlowGraph,
    "vits_generate": graph_modules.GenerateGraph,
}


def _facts(
    text: checkpoint.T2SCheckpoint, speech: checkpoint.SovitsCheckpoint, identity: str
) -> ModelFacts:
    config, decoder = speech.config, speech.spec.decoder
    return ModelFacts(
        version=speech.spec.name,
        symbols=speech.spec.symbols,
        identity=identity,
        sample_rate=decoder.sample_rate,
        hop=decoder.hop_length,
        latent=config.inter_channels,
        style=config.gin_channels,
        text_style=vits.MRTE_CHANNELS,
        flow_style=vits.COUPLINGS * 8 * config.hidden_channels,
        voice_style=config.upsample_initial_channel,
        speaker_embedding=config.speaker_embedding,
        spectrum=1025,
        vocabulary=text.config.vocab_size,
        codes=vits.CODES,
        phones=min(text.config.phoneme_vocab_size, config.phone_count),
        layers=text.config.n_layer,
        heads=text.config.head,
        head_size=text.config.hidden_dim // text.config.head,
        max_tokens=min(LONGEST_SENTENCE, FRAMES_PER_SECOND * text.config.max_sec),
        hubert_width=config.ssl_channels,
        bert_width=t2s.BERT_CHANNELS,
    )


def _identity(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


def _tensor(feed: Feed) -> Tensor:
    # A copy: a graph may write into its inputs, which must never reach the caller's array.
    return feed.tensor if isinstance(feed, TorchTensor) else torch.tensor(feed)
