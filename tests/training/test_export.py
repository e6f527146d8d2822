"""What is exported loads as an official model, and speaks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engines.audio import Recording
from engines.backends import CheckpointFiles, open_backend
from engines.bert_features import BertFeatures
from engines.checkpoint import load_sovits
from engines.errors import CheckpointError
from engines.export import convert
from engines.prompt import Enroller
from engines.sampling import SamplingParams
from engines.synthesizer import Synthesizer
from engines.text import phonemize


@pytest.mark.parametrize("backend_name", ["torch", "onnxruntime"])
def test_it_enrols_and_speaks(files: CheckpointFiles, tmp_path: Path, backend_name: str) -> None:
    folder = tmp_path / "converted"
    convert(files, folder)
    source = {"torch": files, "onnxruntime": folder}[backend_name]
    backend = open_backend(backend_name, source)
    assert backend.model.hubert_width == 32
    bert = BertFeatures(backend, files.tokenizer)
    time = np.arange(4 * 32_000) / 32_000
    tone = np.sin(2 * np.pi * 180 * time) * np.hanning(len(time))
    reference = Recording(tone.astype(np.float32), 32_000)
    prompt = Enroller(backend, bert).enrol([reference], phonemize("The door is open.", "en"))
    chunks = list(
        Synthesizer(backend, bert).speak(
            phonemize("Dinner is ready.", "en"), prompt, SamplingParams(seed=1)
        )
    )
    samples = np.concatenate([chunk.samples for chunk in chunks])
    assert len(samples) > 10 * 1280
    assert np.isfinite(samples).all()


def test_the_networks_keep_their_weights(
    files: CheckpointFiles, trained: dict[str, torch.nn.Module]
) -> None:
    backend = open_backend("torch", files)
    wave = torch.randn(1, 32_000).numpy() * 0.1
    features = backend.load("hubert").run({"wave": wave})["features"]
    codes = backend.load("quantize").run({"features": features})["codes"]
    own = trained["tokenizer"](torch.from_numpy(wave))[2]
    agreement = (codes[:, : own.shape[1]] == own.numpy()).mean()
    assert agreement > 0.9  # half precision moves a few across the border of two rows
    vits = trained["sovits"].vits
    latent, style = torch.randn(1, 16, 6), torch.randn(1, 512, 1)
    conditions = backend.load("condition").run({"style": style.numpy()})
    quiet = dict.fromkeys(("log_deviation", "noise"), torch.zeros_like(latent).numpy())
    flowed = backend.load("vits_flow").run(
        {"mean": latent.numpy(), **quiet, "flow_style": conditions["flow_style"]}
    )["flowed"]
    audio = backend.load("vits_generate").run(
        {"latent": flowed, "voice_style": conditions["voice_style"]}
    )["audio"]
    with torch.no_grad():
        expected = vits.dec(vits.flow(latent, vits.flow.condition(style)), vits.dec.cond(style))
    np.testing.assert_allclose(audio.reshape(-1), expected.numpy().reshape(-1), atol=5e-3)


def test_weights_have_their_official_names(files: CheckpointFiles) -> None:
    keys = set(torch.load(files.sovits, weights_only=True)["weight"])
    assert {
        "dec.ups.0.weight_g",
        "dec.resblocks.14.convs2.2.weight_v",
        "flow.flows.6.enc.in_layers.3.weight_v",
        "ref_enc.temporal.1.conv1.conv.weight",
        "quantizer.vq.layers.0._codebook.embed",
        "ssl_proj.weight",
    } <= keys
    assert not [key for key in keys if "enc_q" in key or "parametrizations" in key]


def test_a_codebook_of_another_width_than_its_features_is_refused(
    files: CheckpointFiles, tmp_path: Path
) -> None:
    content = torch.load(files.sovits, weights_only=True)
    content["weight"]["quantizer.vq.layers.0._codebook.embed"] = torch.zeros(1024, 24)
    torch.save(content, tmp_path / "wrong.pth")
    assert load_sovits(tmp_path / "wrong.pth").config.ssl_channels == 24
    wrong = CheckpointFiles(files.t2s, tmp_path / "wrong.pth", files.models)
    with pytest.raises(CheckpointError, match="fit"):
        open_backend("torch", wrong).load("quantize")
