"""Official files: what they are, what is taken from them, and what is refused without harm."""

from __future__ import annotations

import copy
import io
import json
import pickle
import shutil
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import torch_file
from engines.checkpoint import (
    detect,
    load_bert,
    load_hubert,
    load_sovits,
    load_speaker,
    load_t2s,
)
from engines.errors import CheckpointError
from engines.golden import Folder
from engines.spec import SPECS
from engines.torch_file import read_torch_file

MODEL = {
    "inter_channels": 8,
    "hidden_channels": 192,
    "filter_channels": 32,
    "n_heads": 2,
    "n_layers": 2,
    "kernel_size": 3,
    "gin_channels": 512,
    "resblock": "1",
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3], [1, 3]],
    "upsample_rates": [10, 8, 2, 2, 2],
    "upsample_initial_channel": 64,
    "upsample_kernel_sizes": [16, 16, 8, 2, 2],
    "version": "v2",
}
DATA = {"sampling_rate": 32000, "hop_length": 640}
CODEBOOK = "quantizer.vq.layers.0._codebook."


def weights(**changes: Any) -> dict[str, Any]:
    """The few tensors by which a file's version is known."""
    tensors: dict[str, Any] = {
        "enc_p.text_embedding.weight": torch.ones(732, 2, dtype=torch.float16),
        "ref_enc.spectral.0.fc.weight": torch.ones(2, 704, dtype=torch.float16),
        "dec.cond.bias": torch.ones(2, dtype=torch.float16),
    }
    tensors.update(changes)
    return {key: tensor for key, tensor in tensors.items() if tensor is not None}


def sovits(path: Path, mark: str = "", model: Any = None, **changes: Any) -> Path:
    """Write a small second-stage file."""
    config = {"model": MODEL | (model or {}), "data": DATA}
    content = {"weight": weights(**changes), "config": config, "info": ""}
    stream = io.BytesIO()
    torch.save(content, stream)
    data = stream.getvalue()
    path.write_bytes(mark.encode() + data[len(mark) :])
    return path


# --- what a file is ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "version"),
    [("v1", "v1"), ("v2", "v2"), ("v2Pro", "v2Pro"), ("v2ProPlus", "v2ProPlus")],
)
def test_files_that_the_original_wrote_are_recognised(
    golden: Folder, probe: str, version: str
) -> None:
    path = golden.root / "probes" / f"probe_{probe}.pth"
    content, mark = read_torch_file(path)
    assert content["config"]["train"]["betas"] == pytest.approx([0.8, 0.99])
    assert detect(content["weight"], "", mark, path.name).name == version


@pytest.mark.parametrize(
    ("probe", "named"), [("v3", "v3"), ("v3lora", "v3 LoRA"), ("v4lora", "v4 LoRA")]
)
def test_later_versions_are_refused_by_name(golden: Folder, probe: str, named: str) -> None:
    with pytest.raises(CheckpointError, match=f"is a {named} model, which is not supported yet"):
        load_sovits(golden.root / "probes" / f"probe_{probe}.pth")


@pytest.mark.parametrize(
    ("mark", "changes", "version"),
    [
        ("", {}, "v2"),
        ("01", {}, "v2"),
        ("", {"enc_p.text_embedding.weight": torch.ones(322, 2)}, "v1"),
        ("01", {"enc_p.text_embedding.weight": torch.ones(322, 2)}, "v1"),
        ("", {"sv_emb.weight": torch.ones(2, 2)}, "v2Pro"),
        ("05", {"sv_emb.weight": torch.ones(2, 2)}, "v2Pro"),
        ("06", {"sv_emb.weight": torch.ones(2, 2)}, "v2ProPlus"),
        (
            "",
            {"sv_emb.weight": torch.ones(2, 2), "dec.conv_pre.bias": torch.ones(768)},
            "v2ProPlus",
        ),
        ("", {"sv_emb.weight": torch.ones(2, 2), "dec.conv_pre.bias": torch.ones(512)}, "v2Pro"),
    ],
)
def test_content_decides_which_version_a_file_is(
    mark: str, changes: dict[str, Any], version: str
) -> None:
    assert detect(weights(**changes), "", mark, "a file") is SPECS[version]


@pytest.mark.parametrize(
    ("mark", "claimed", "changes", "message"),
    [
        ("", "", {"cfm.estimator.weight": torch.ones(1)}, "v3 or v4 model"),
        ("", "v4", {"cfm.estimator.weight": torch.ones(1)}, "is a v4 model"),
        ("02", "", {}, "is a v3 model"),
        ("", "v4", {"dec.cond.bias": None}, "is a v4 model"),
        ("77", "", {}, "unknown version mark 77"),
        ("", "", {"enc_p.text_embedding.weight": None}, "not a SoVITS model"),
        ("", "", {"enc_p.text_embedding.weight": torch.tensor(1.0)}, "not a SoVITS model"),
        ("", "", {"enc_p.text_embedding.weight": torch.ones(500, 2)}, "500 phones"),
    ],
)
def test_what_is_no_supported_version_is_refused(
    mark: str, claimed: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        detect(weights(**changes), claimed, mark, "a file")


# --- what is taken from it -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["s2_v1", "s2_v2", "s2_v2Pro"])
def test_a_fine_tuned_file_loads_as_float32(golden: Folder, name: str) -> None:
    checkpoint = load_sovits(golden.checkpoint(name))
    assert checkpoint.spec is SPECS[name.removeprefix("s2_")]
    assert {tensor.dtype for tensor in checkpoint.weights.values()} == {torch.float32}
    assert checkpoint.config.inter_channels == 8
    assert checkpoint.config.resblock_dilation_sizes == ((1, 3, 5),) * 3


def test_training_only_weights_are_left_out(tmp_path: Path) -> None:
    path = sovits(
        tmp_path / "base.pth",
        **{
            "enc_q.pre.weight": torch.ones(3),
            CODEBOOK + "inited": torch.ones(1),
            CODEBOOK + "cluster_size": torch.ones(4),
            CODEBOOK + "embed_avg": torch.ones(4, 2),
            CODEBOOK + "embed": torch.ones(4, 2),
        },
    )
    assert set(load_sovits(path).weights) == {*weights(), CODEBOOK + "embed"}


def test_settings_may_be_a_plain_dictionary_or_the_official_object(
    golden: Folder, tmp_path: Path
) -> None:
    plain = load_sovits(sovits(tmp_path / "plain.pth"))
    official, _ = read_torch_file(golden.root / "probes" / "probe_v2.pth")
    assert plain.config.upsample_rates == tuple(official["config"]["model"]["upsample_rates"])
    assert isinstance(official["config"]["data"], dict)


def test_the_first_stage_gives_sizes_and_weights(golden: Folder) -> None:
    checkpoint = load_t2s(golden.checkpoint("s1_tiny"))
    config = checkpoint.config
    assert (config.vocab_size, config.eos, config.n_layer, config.head) == (65, 64, 3, 4)
    assert "ar_predict_layer.weight" in checkpoint.weights
    assert not any(key.startswith("model.") for key in checkpoint.weights)


def test_hugging_face_folders_give_sizes_and_weights(golden: Folder) -> None:
    hubert = load_hubert(golden.checkpoint("hubert_tiny").parent)
    bert = load_bert(golden.checkpoint("bert_tiny").parent)
    assert (hubert.config.hidden_size, hubert.config.num_hidden_layers) == (48, 2)
    assert "masked_spec_embed" not in hubert.weights
    assert (bert.config.hidden_size, bert.config.num_hidden_layers) == (32, 4)
    assert "embeddings.word_embeddings.weight" in bert.weights
    assert not any(key.startswith("cls.") for key in bert.weights)


def test_old_layer_norm_names_are_read(golden: Folder, tmp_path: Path) -> None:
    folder = golden.checkpoint("bert_tiny").parent
    content = torch.load(folder / "pytorch_model.bin", weights_only=True)
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): t
        for key, t in content.items()
    }
    torch.save(old, tmp_path / "pytorch_model.bin")
    shutil.copy(folder / "config.json", tmp_path)
    assert load_bert(tmp_path).weights.keys() == load_bert(folder).weights.keys()


def test_the_speaker_network_gives_its_weights(golden: Folder) -> None:
    found = load_speaker(golden.checkpoint("sv_tiny"))
    assert "layer3_ds.weight" in found
    assert not any(key.startswith("seg_1") or "num_batches" in key for key in found)


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"n_layers": None}, "n_layers must be 1 to 256"),
        ({"n_layers": 10**9}, "n_layers must be 1 to 256"),
        ({"hidden_channels": -1}, "hidden_channels must be 1"),
        ({"hidden_channels": True}, "hidden_channels must be 1"),
        ({"inter_channels": 192.0}, "inter_channels must be 1"),
        ({"upsample_rates": [10, 8, 2, 2]}, "upsample_rates"),
        ({"upsample_rates": 640}, "upsample_rates must be a list"),
        ({"resblock_dilation_sizes": [1, 3]}, "resblock_dilation_sizes must be a list"),
        ({"resblock": "2"}, "resblock must be 1"),
        ({"upsample_kernel_sizes": [16, 16, 8, 2]}, "upsample_kernel_sizes"),
        ({"upsample_kernel_sizes": [8, 16, 8, 2, 2]}, "upsample_kernel_sizes"),
        ({"upsample_kernel_sizes": [15, 16, 8, 2, 2]}, "upsample_kernel_sizes"),
        ({"kernel_size": 4}, "kernel_size"),
        ({"resblock_kernel_sizes": [3, 8]}, "resblock_kernel_sizes"),
    ],
)
def test_impossible_settings_are_named(tmp_path: Path, model: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_sovits(sovits(tmp_path / "a.pth", model=model))


@pytest.mark.parametrize(
    ("mark", "changes", "message"),
    [
        ("05", {}, "has no speaker projection"),
        ("", {"ref_enc.spectral.0.fc.weight": torch.ones(2, 1025)}, "704 bins, this one 1025"),
        ("", {"dec.cond.bias": torch.tensor([1.0, float("nan")])}, "dec.cond.bias holds"),
        ("", {"dec.cond.bias": torch.tensor([1.0, float("inf")])}, "dec.cond.bias holds"),
        ("", {"dec.cond.bias": [1.0, 2.0]}, "dec.cond.bias is not a tensor"),
        ("", {CODEBOOK + "inited": torch.zeros(1)}, "never trained"),
    ],
)
def test_contradictory_weights_are_named(
    tmp_path: Path, mark: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_sovits(sovits(tmp_path / "a.pth", mark, **changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "not a dictionary"),
        ({"config": {}}, "holds no weights"),
        ({"weight": {}, "config": {}}, "holds no weights"),
        ({"weight": weights()}, "holds no settings"),
        ({"weight": weights(), "config": {"model": 3}}, "holds no settings"),
        ({"weight": weights(), "config": {"model": MODEL}}, "holds no settings"),
    ],
)
def test_files_without_the_expected_parts_are_refused(
    tmp_path: Path, content: Any, message: str
) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load_sovits(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"EOS": 3}, "EOS 3"),
        ({"head": 5}, "cannot be shared by 5 heads"),
        ({"embedding_dim": 64}, "embedding_dim must be"),
        ({"n_layer": 0}, "n_layer must be"),
    ],
)
def test_impossible_first_stage_settings_are_named(
    golden: Folder, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    content, _ = read_torch_file(golden.checkpoint("s1_tiny"))
    content["config"]["model"] |= changes
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=message):
        load_t2s(tmp_path / "a.ckpt")


def test_the_wrong_kind_of_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not a text-to-semantic model"):
        load_t2s(sovits(tmp_path / "a.pth"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feat_extract_norm": "layer"}, "feat_extract_norm must be group"),
        ({"do_stable_layer_norm": True}, "do_stable_layer_norm"),
        ({"conv_dim": "many"}, "conv_dim must be a list"),
        ({"layer_norm_eps": 0}, "layer_norm_eps"),
        ({"num_attention_heads": 5}, "cannot be shared by 5 heads"),
    ],
)
def test_another_kind_of_hubert_is_named(
    golden: Folder, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = golden.checkpoint("hubert_tiny").parent
    shutil.copy(folder / "pytorch_model.bin", tmp_path)
    settings = json.loads((folder / "config.json").read_text()) | changes
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match=message):
        load_hubert(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "{", "[" * 100_000])
def test_a_broken_config_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError):
        load_bert(tmp_path)


@pytest.mark.parametrize("load", [load_sovits, load_t2s, load_speaker, load_hubert, load_bert])
def test_a_missing_file_is_refused(tmp_path: Path, load: Callable[[Path], Any]) -> None:
    with pytest.raises(CheckpointError):
        load(tmp_path / "absent")


# --- hostile files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"P", b"PK", b"PK\x03\x04", b"RIFF....WAVE", b"\x80\x02}q\x00.", b"05", b"0" * 4000],
)
def test_what_is_not_a_model_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(data)
    with pytest.raises(CheckpointError):
        read_torch_file(tmp_path / "a.pth")


@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(golden: Folder, tmp_path: Path, part: float) -> None:
    data = golden.checkpoint("s1_tiny").read_bytes()
    (tmp_path / "a.ckpt").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CheckpointError):
        load_t2s(tmp_path / "a.ckpt")


@pytest.mark.parametrize("seed", range(40))
def test_flipped_bytes_load_or_are_refused(golden: Folder, tmp_path: Path, seed: int) -> None:
    data = bytearray((golden.root / "probes" / "probe_v2.pth").read_bytes())
    for place in torch.randint(len(data), (8,), generator=torch.Generator().manual_seed(seed)):
        data[int(place)] ^= 0x55
    (tmp_path / "a.pth").write_bytes(data)
    # The probe has too few weights to load, so an undamaged one is refused as well.
    with pytest.raises(CheckpointError):
        load_sovits(tmp_path / "a.pth")


class Runs:
    """Pickles to a call of whatever it is given."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("place", ["top", "weight", "config", "key"])
def test_nothing_in_a_file_is_run(tmp_path: Path, place: str, protocol: int) -> None:
    harm = tmp_path / "harm"
    attack = Runs(Path.mkdir, harm)
    content: Any = {
        "top": attack,
        "weight": {"weight": attack, "config": {}},
        "config": {"weight": weights(), "config": attack},
        "key": {"weight": {("a", attack): 1}, "config": {}},
    }[place]
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(content, protocol=protocol))
        archive.writestr("archive/version", "3\n")
    with pytest.raises(CheckpointError, match=r"a\.pth is refused"):
        load_sovits(tmp_path / "a.pth")
    assert not harm.exists()


@pytest.mark.parametrize("mark", ["", "05"])
def test_nothing_in_a_saved_file_is_run(tmp_path: Path, mark: str) -> None:
    harm = tmp_path / "harm"
    stream = io.BytesIO()
    torch.save({"weight": weights(), "config": Runs(eval, f"open({str(harm)!r}, 'w')")}, stream)
    data = stream.getvalue()
    (tmp_path / "a.pth").write_bytes(mark.encode() + data[len(mark) :])
    with pytest.raises(CheckpointError, match="eval"):
        load_sovits(tmp_path / "a.pth")
    assert not harm.exists()


@contextmanager
def official_class() -> Iterator[Any]:
    """A module `utils` with a class `HParams`, as the original has, that does harm when used."""

    class HParams:
        def __init__(self, **values: Any) -> None:
            self.__dict__.update(values)

        def __setstate__(self, state: dict[str, Any]) -> None:
            raise AssertionError("the stranger's class was used")

    HParams.__module__, HParams.__qualname__ = "utils", "HParams"
    module = types.ModuleType("utils")
    module.HParams = HParams  # type: ignore[attr-defined]
    saved = sys.modules.get("utils")
    sys.modules["utils"] = module
    try:
        yield HParams
    finally:
        del sys.modules["utils"]
        sys.modules.update({"utils": saved} if saved else {})


def test_the_settings_class_of_the_file_is_never_used(tmp_path: Path) -> None:
    with official_class() as hparams:
        torch.save({"config": hparams(model=hparams(a=1)), "list": (1, 2.5)}, tmp_path / "a.pth")
        content, _ = read_torch_file(tmp_path / "a.pth")
    assert content == {"config": {"model": {"a": 1}}, "list": [1, 2.5]}


def test_settings_that_contain_themselves_are_refused(tmp_path: Path) -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    torch.save(loop, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="nested too deeply"):
        read_torch_file(tmp_path / "a.pth")


def test_a_few_values_that_unfold_to_billions_are_refused(tmp_path: Path) -> None:
    laughs: list[Any] = [1]
    for _ in range(12):
        laughs = [laughs] * 10
    torch.save({"weight": laughs}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="too many values"):
        read_torch_file(tmp_path / "a.pth")


def test_a_compressed_archive_is_refused(golden: Folder, tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(golden.checkpoint("s1_tiny")) as archive,
        zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    with pytest.raises(CheckpointError, match="compressed"):
        load_t2s(tmp_path / "a.ckpt")


def test_parts_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data/0", bytes(5000))
        for number in range(1, 4):
            twin = copy.copy(archive.filelist[0])
            twin.filename = f"archive/data/{number}"
            archive.filelist.append(twin)
    with pytest.raises(CheckpointError, match="unpack to more"):
        read_torch_file(tmp_path / "a.pth")


def test_tensors_that_are_views_of_a_few_numbers_are_refused(tmp_path: Path) -> None:
    huge = torch.ones(1).expand(1 << 20, 1 << 20)
    torch.save({"weight": {"a": huge}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="more than it holds"):
        read_torch_file(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "tensor",
    [torch.eye(3).to_sparse(), torch.zeros(2, dtype=torch.complex64), torch.ones(2, device="meta")],
)
def test_unusual_tensors_are_refused(tmp_path: Path, tensor: torch.Tensor) -> None:
    torch.save({"weight": {"a": tensor}}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError):
        read_torch_file(tmp_path / "a.pth")


@pytest.mark.parametrize("limit", ["MAX_FILE_BYTES", "MAX_ENTRIES", "MAX_PICKLE_BYTES"])
def test_limits_hold(golden: Folder, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(torch_file, limit, 3)
    with pytest.raises(CheckpointError):
        read_torch_file(golden.checkpoint("s1_tiny"))


def test_ordinary_containers_are_read(tmp_path: Path) -> None:
    torch.save(OrderedDict(a=torch.ones(2), b=None, c="text", d=True), tmp_path / "a.pth")
    content, mark = read_torch_file(tmp_path / "a.pth")
    assert (content["b"], content["c"], content["d"], mark) == (None, "text", True, "")
