"""What a GPU machine needs to go on with SoVITS, as one archive that fits a transfer.

    python -m training.carry --trained FOLDER --hibari WHEEL --soxr WHEEL --readings FILE --out FILE

Weights of the tokenizer and all of SoVITS's checkpoint, the two files that hibari speaks with, the
project's own code, 4,000 readings. `script/gpu/train_demo more` unpacks it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import torch

ROOT = Path(__file__).parents[1]
_HIBARI = ("hibari/dsp.py", "hibari/assets/hibari.onnx", "hibari/assets/vocab.json")
_CODE = ("engines/**/*.py", "engines/text/data/symbols.json", "training/*.py", "training/words.txt")
_READINGS = 4000


def main() -> None:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--trained", type=Path, required=True)
    parser.add_argument("--hibari", type=Path, required=True, help="its wheel")
    parser.add_argument("--soxr", type=Path, required=True, help="its wheel for the GPU machine")
    parser.add_argument("--readings", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(args.out, "w:xz") as archive:
        _add(archive, "trained/tokenizer/checkpoint.00", only_weights(args.trained / "tokenizer"))
        for part in sorted((args.trained / "sovits").glob("checkpoint.*")):
            _add(archive, f"trained/sovits/{part.name}", part.read_bytes())
        with zipfile.ZipFile(args.hibari) as wheel:
            _add(archive, "site/hibari/__init__.py", b"")
            for name in _HIBARI:
                _add(archive, f"site/{name}", wheel.read(name))
        with zipfile.ZipFile(args.soxr) as wheel:
            for name in wheel.namelist():
                _add(archive, f"site/{name}", wheel.read(name))
        for path in sorted(path for pattern in _CODE for path in ROOT.glob(pattern)):
            _add(archive, f"src/{path.relative_to(ROOT)}", path.read_bytes())
        lines = gzip.decompress(args.readings.read_bytes()).splitlines()[:_READINGS]
        _add(archive, "readings.jsonl.gz", gzip.compress(b"\n".join(lines)))
    print(f"{args.out.stat().st_size / 1e6:.1f} MB in {args.out}")


def only_weights(folder: Path) -> bytes:
    """The tokenizer's checkpoint without its judges and without Adam's state."""
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("checkpoint.*")))
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    state["networks"] = {"tokenizer": state["networks"]["tokenizer"]}
    state["optimizers"] = {}
    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


if __name__ == "__main__":
    main()
