"""Checkpoints of the training → the official file layouts, in half precision.

    FOLDER/t2s.ckpt, FOLDER/sovits.pth, FOLDER/models/chinese-hubert-base/

as `engines.checkpoint` reads them, under the official names of all weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engines.networks.layers import renamed
from engines.networks.vits import COUPLINGS
from engines.spec import HubertConfig, T2SConfig, VitsConfig
from training import sizes
from training.pieces import load_networks

_OFFICIAL = {
    "codebook": "quantizer.vq.layers.0._codebook.embed",
    "ref_enc.spectral.0.": "ref_enc.spectral.0.fc.",
    "ref_enc.spectral.1.": "ref_enc.spectral.3.fc.",
    "ref_enc.temporal.0.": "ref_enc.temporal.0.conv1.conv.",
    "ref_enc.temporal.1.": "ref_enc.temporal.1.conv1.conv.",
    "ref_enc.fc.": "ref_enc.fc.fc.",
    **{f"flow.couplings.{place}.": f"flow.flows.{2 * place}." for place in range(COUPLINGS)},
}
_WEIGHT_NORM = {
    ".parametrizations.weight.original0": ".weight_g",
    ".parametrizations.weight.original1": ".weight_v",
}
_FROM_WEIGHTS = {"spec_channels", "phone_count", "speaker_embedding", "ssl_channels"}


def main() -> None:
    """Write the files that ship."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trained", type=Path, required=True, help="what training called --out")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    averaged = args.trained / "spoken"
    export(
        load_networks(args.trained / "tokenizer")["tokenizer"],
        load_networks(averaged if averaged.exists() else args.trained / "sovits")["sovits"],
        load_networks(args.trained / "t2s")["t2s"],
        args.out,
    )
    files = [path for path in sorted(args.out.rglob("*")) if path.is_file()]
    for path in files:
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.relative_to(args.out)}")
    print(f"{sum(path.stat().st_size for path in files) / 1e6:8.2f} MB in all")


def export(
    tokenizer: Mapping[str, Tensor],
    sovits: Mapping[str, Tensor],
    t2s: Mapping[str, Tensor],
    folder: Path,
    hubert_config: HubertConfig = sizes.HUBERT,
    sovits_config: VitsConfig = sizes.SOVITS,
    t2s_config: T2SConfig = sizes.T2S,
) -> None:
    """Write a model from the weights of the three trainings.

    Args:
        tokenizer: of `training.tokenizer.Tokenizer`.
        sovits: of `training.sovits.Sovits`; its posterior encoder stays behind.
        t2s: of `engines.networks.t2s.T2S`.
        folder: is made.
        hubert_config: sizes of the content encoder.
        sovits_config: sizes of SoVITS.
        t2s_config: sizes of T2S.
    """
    models = folder / "models" / "chinese-hubert-base"
    models.mkdir(parents=True, exist_ok=True)
    encoder = _part(tokenizer, "hubert.")
    (models / "config.json").write_text(json.dumps(_hubert(hubert_config), indent=2) + "\n")
    torch.save({key: _half(value) for key, value in encoder.items()}, models / "pytorch_model.bin")
    # What SoVITS learned beside is the random codebook that it was built with.
    speech = {**_part(sovits, "vits."), **_part(tokenizer, "ssl_proj.", keep=True)}
    speech["codebook"] = tokenizer["quantizer.embed"]
    torch.save(
        {
            "weight": {_spelled(k): _half(v) for k, v in renamed(speech, _OFFICIAL).items()},
            "config": _sovits(sovits_config),
            "info": "trained for gptsovits-home",
        },
        folder / "sovits.pth",
    )
    torch.save(
        {
            "weight": {f"model.{key}": _half(value) for key, value in t2s.items()},
            "config": _t2s(t2s_config),
            "info": "trained for gptsovits-home",
        },
        folder / "t2s.ckpt",
    )


def _hubert(config: HubertConfig) -> dict[str, Any]:
    fixed = {
        "model_type": "hubert",
        "feat_extract_norm": "group",
        "do_stable_layer_norm": False,
        "conv_bias": False,
        "hidden_act": "gelu",
    }
    return {**fixed, **asdict(config)}


def _sovits(config: VitsConfig) -> dict[str, Any]:
    model = {key: value for key, value in asdict(config).items() if key not in _FROM_WEIGHTS}
    lists = {key: _listed(value) for key, value in model.items()}
    return {
        "train": {"segment_size": 20480},
        "data": {
            "sampling_rate": 32000,
            "filter_length": 2048,
            "hop_length": 640,
            "win_length": 2048,
            "n_speakers": 300,
        },
        "model": {**lists, "resblock": "1", "version": "v2", "semantic_frame_rate": "25hz"},
    }


def _t2s(config: T2SConfig) -> dict[str, Any]:
    model = asdict(config)
    return {
        "data": {"max_sec": model.pop("max_sec")},
        "model": {
            **model,
            "EOS": model.pop("eos"),
            "embedding_dim": config.hidden_dim,
            "dropout": 0,
            "linear_units": 4 * config.hidden_dim,
        },
    }


def _part(weights: Mapping[str, Tensor], prefix: str, keep: bool = False) -> dict[str, Tensor]:
    chosen = {key: value for key, value in weights.items() if key.startswith(prefix)}
    return chosen if keep else {key.removeprefix(prefix): v for key, v in chosen.items()}


def _spelled(key: str) -> str:
    end = next((end for end in _WEIGHT_NORM if key.endswith(end)), "")
    return key.removesuffix(end) + _WEIGHT_NORM.get(end, "")


def _half(value: Tensor) -> Tensor:
    return value.detach().half() if value.is_floating_point() else value


def _listed(value: Any) -> Any:
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


if __name__ == "__main__":
    main()
