r"""What a GPU machine needs to go on with SoVITS, as one archive that fits a transfer.

    python -m training.carry --trained FOLDER --wheels FOLDER --readings FILE --kokoro SHARDS \
        --out FILE

Weights of the tokenizer and one network's checkpoint, the files that hibari speaks with, the wheels
that the machine lacks, the project's own code, readings, some shards of Kokoro.
`script/gpu/train_demo` unpacks it: `more` for SoVITS, with 4,000 readings, `words` for T2S, with
all of them.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import torch

from training.pieces import PART

ROOT = Path(__file__).parents[1]
_HIBARI = ("hibari/dsp.py", "hibari/assets/hibari.onnx", "hibari/assets/vocab.json")
_CODE = ("engines/**/*.py", "engines/text/data/symbols.json", "training/*.py", "training/words.txt")
_READINGS = 4000


def main() -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--network", choices=("sovits", "t2s"), default="sovits")
    parser.add_argument("--wheels", type=Path, required=True, help="folder, for the GPU machine")
    parser.add_argument("--kokoro", type=Path, nargs="*", default=[], help="shards")
    parser.add_argument("--readings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(args.out, "w:xz") as archive:
        _add(archive, "trained/tokenizer/checkpoint.00", only_weights(args.trained / "tokenizer"))
        learns = args.network
        for number, part in enumerate(running(args.trained / learns)):
            _add(archive, f"trained/{learns}/checkpoint.{number:02d}", part)
        log = args.trained / learns / "log.jsonl"
        _add(archive, f"trained/{learns}/log.jsonl", log.read_bytes())
        _add(archive, "site/hibari/__init__.py", b"")
        for wheel in sorted(args.wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as files:
                speaks = wheel.name.startswith("hibari")
                for name in _HIBARI if speaks else files.namelist():
                    _add(archive, f"site/{name}", files.read(name))
        for path in args.kokoro:
            _add(archive, f"kokoro/{path.name}", path.read_bytes())
        for path in sorted(path for pattern in _CODE for path in ROOT.glob(pattern)):
            _add(archive, f"src/{path.relative_to(ROOT)}", path.read_bytes())
        lines = gzip.decompress(args.readings.read_bytes()).splitlines()
        lines = lines if learns == "t2s" else lines[:_READINGS]
        _add(archive, "readings.jsonl.gz", gzip.compress(b"\n".join(lines)))
    print(f"{args.out.stat().st_size / 1e6:.1f} MB in {args.out}")


def only_weights(folder: Path) -> bytes:
    """The tokenizer's checkpoint without its judges and without Adam's state."""
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("checkpoint.*")))
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    state["networks"] = {"tokenizer": state["networks"]["tokenizer"]}
    state["optimizers"] = {}
    return _saved(state)


def running(folder: Path) -> list[bytes]:
    """A checkpoint in parts, without what today's training does not take up."""
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("checkpoint.*")))
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    for kind in ("networks", "optimizers"):
        for name in {"judges", "listener"} & set(state[kind]):
            del state[kind][name]
    data = _saved(state)
    return [data[start : start + PART] for start in range(0, len(data), PART)]


def _saved(state: dict[str, Any]) -> bytes:
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main()
