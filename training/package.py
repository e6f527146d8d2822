r"""A trained model → the folder that ships: official files, graphs, a recipe, a voice, its card.

    python -m training.package --model FOLDER --heard FOLDER --out service/demo

`--model` is a folder of `training.export`, `--heard` one of `training.evaluate` with the `lanes` of
`training.lanes` in it; the card shows their scores, the reference of `--speaker` becomes the voice.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import soundfile
import torch
from torch import Tensor

from engines.backends import CheckpointFiles, open_backend
from engines.compact import (
    FILES,
    GRAPHS,
    Floats,
    Ingredient,
    Stretch,
    made,
    pack_graphs,
    stored,
    unpack,
    write_recipe,
)
from engines.export import convert
from engines.model_folder import WEIGHTS, ModelFolder
from engines.sampling import SamplingParams
from engines.torch_file import read_torch_file
from engines.verify import RELATIVE_BOUND, compare
from training.card import card
from training.evaluate import SAMPLING, reference_reading

OFFICIAL = (
    "t2s.ckpt",
    "sovits.pth",
    "models/chinese-hubert-base/config.json",
    "models/chinese-hubert-base/pytorch_model.bin",
)
_ORDINARY = ("as it is", "turned", "squared")
_PAIRS = (("weight_g", "weight_v"), ("weight.original0", "weight.original1"))
_NORMS = (1e-6, 1e-6)
_WAVES = (0.0, 1e-3)


class PackageError(Exception):
    """A model cannot be packed; says why."""


def main() -> None:
    """Write the package and check that it speaks as the official files do."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--heard", type=Path, required=True)
    parser.add_argument("--speaker", default="hibari-held-1")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    pack(args.model, args.out)
    samples, rate = soundfile.read(args.heard / "reference" / f"{args.speaker}.wav")
    soundfile.write(args.out / "voice.flac", samples, rate)
    (args.out / "voice.txt").write_text(reference_reading().text + "\n", encoding="utf-8")
    scores = json.loads((args.heard / "scores.json").read_text())["scores"]
    lanes = json.loads((args.heard / "lanes" / "scores.json").read_text())
    (args.out / "MODEL_CARD.md").write_text(card(scores, lanes, args.out), encoding="utf-8")
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB in {args.out}")


def pack(model: Path, out: Path, sampling: SamplingParams = SAMPLING) -> None:
    """Write official files, graphs and recipe of a model into a new folder.

    Args:
        model: folder of the official files.
        out: is made.
        sampling: how it sounds best, which its manifest will say.

    Raises:
        PackageError: a tensor of the converted model comes from no official one, or what is
            unpacked computes something else.
    """
    files = CheckpointFiles(model / "t2s.ckpt", model / "sovits.pth", model / "models")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "converted"
        convert(files, folder)
        converted = ModelFolder.read(folder)
        for name in OFFICIAL:
            (out / FILES / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(model / name, out / FILES / stored(name))
        pack_graphs(folder, out / GRAPHS)
        size = (folder / WEIGHTS).stat().st_size
        of = ingredients(out / FILES, folder)
        write_recipe(out, converted, size, OFFICIAL, of, sampling)
        unpack(out, Path(scratch) / "unpacked")
        reference = open_backend("torch", files)
        other = open_backend("onnxruntime", Path(scratch) / "unpacked")
        for difference in compare(reference, other, converted.graphs):
            if difference.relative > RELATIVE_BOUND:
                raise PackageError(f"unpacked, {difference} is too much")


def ingredients(files: Path, converted: Path) -> list[Ingredient]:
    """Where every tensor of weights.bin comes from, by comparing numbers."""
    known = dict(_stretches(files))
    data = {name: (files / stored(name)).read_bytes() for name in OFFICIAL}

    def read(stretch: Stretch) -> Floats:
        values = np.frombuffer(
            data[stretch.file],
            np.dtype(stretch.dtype),
            int(np.prod(stretch.shape)),
            stretch.place,
        )
        return values.reshape(stretch.shape).astype(np.float32)

    exact: dict[bytes, Ingredient] = {}
    near: dict[tuple[int, ...], list[Ingredient]] = {}
    for name, stretch in known.items():
        for way in _ORDINARY:
            if way != "turned" or len(stretch.shape) > 1:
                made_so = Ingredient(0, way, (stretch,))
                exact.setdefault(_bytes(made(made_so, read)), made_so)
        gain = next((name.removesuffix(v) + g for g, v in _PAIRS if name.endswith(v)), None)
        if gain is not None:
            pair = (known[gain], stretch)
            near.setdefault(stretch.shape, []).append(Ingredient(0, "normed", pair))
    found = []
    for name, place, tensor in _tensors(converted):
        match = exact.get(_bytes(tensor)) or _nearest(tensor, near, read)
        if match is None:
            raise PackageError(f"{name} {tensor.shape} comes from no official tensor")
        found.append(Ingredient(place, match.way, match.of, match.shape))
    return found


def _nearest(
    tensor: Floats, near: dict[tuple[int, ...], list[Ingredient]], read: Any
) -> Ingredient | None:
    """Norms and waves are computed, and round differently elsewhere."""
    for each in near.get(tensor.shape, []):
        if np.allclose(made(each, read), tensor, *_NORMS):
            return each
    if tensor.ndim == 2 and tensor.shape[1] % 2 == 0:
        computed = Ingredient(0, "waves", (), tensor.shape)
        if np.allclose(made(computed, read), tensor, *_WAVES):
            return computed
    return None


def _tensors(converted: Path) -> Iterator[tuple[str, int, Floats]]:
    """Name, place and numbers of every tensor in weights.bin, once."""
    weights = np.fromfile(converted / WEIGHTS, np.uint8)
    seen = set()
    for graph in sorted(converted.glob("*.onnx")):
        for tensor in onnx.load(str(graph), load_external_data=False).graph.initializer:
            where = {entry.key: entry.value for entry in tensor.external_data}
            if not where or int(where["offset"]) in seen:
                continue
            if tensor.data_type != onnx.TensorProto.FLOAT:
                raise PackageError(f"{tensor.name} is not float32")
            place, length = int(where["offset"]), int(where["length"])
            seen.add(place)
            values = weights[place : place + length].view(np.float32)
            yield tensor.name, place, values.reshape(tuple(tensor.dims))


def _stretches(files: Path) -> Iterator[tuple[str, Stretch]]:
    """Every tensor of the official files by file and name."""
    for name in OFFICIAL:
        if name.endswith(".json"):
            continue
        content, _ = read_torch_file(files / name)
        places = _storages(files / name)
        for key, tensor in content.get("weight", content).items():
            if tensor.is_floating_point():
                yield f"{name}:{key}", _stretch(name, key, tensor, places)


def _stretch(name: str, key: str, tensor: Tensor, places: dict[bytes, int]) -> Stretch:
    raw = tensor.contiguous().numpy()
    if raw.tobytes() not in places:
        raise PackageError(f"{name}: {key} is a view of another tensor")
    return Stretch(name, places[raw.tobytes()], str(raw.dtype), tuple(raw.shape))


def _storages(path: Path) -> dict[bytes, int]:
    """Content of every storage of a torch file → where it begins."""
    data = path.read_bytes()
    places = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for entry in archive.infolist():
            if "/data/" in entry.filename:
                head = entry.header_offset
                name, extra = (
                    int.from_bytes(data[head + at : head + at + 2], "little") for at in (26, 28)
                )
                start = head + 30 + name + extra
                places[data[start : start + entry.file_size]] = start
    return places


def _bytes(values: Floats) -> bytes:
    return np.ascontiguousarray(values).tobytes()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
