"""Log lines → a picture of the curves (matplotlib, which only development needs)."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def main() -> None:
    """Draw FOLDER/log.jsonl as FOLDER/curves.png."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="+")
    for folder in parser.parse_args().folder:
        print(draw(folder))


def draw(folder: Path) -> Path:
    """Draw every logged value over the steps; returns the picture's path."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    names = sorted({name for row in rows for name in row} - {"step", "minutes"})
    figure, axes = pyplot.subplots(len(names), 1, figsize=(8, 1.8 * len(names)), sharex=True)
    for axis, name in zip(figure.axes if len(names) > 1 else [axes], names, strict=True):
        points = [(row["step"], row[name]) for row in rows if name in row]
        axis.plot(*zip(*points, strict=True))
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    figure.axes[-1].set_xlabel("step")
    figure.tight_layout()
    figure.savefig(folder / "curves.png", dpi=80)
    pyplot.close(figure)
    return folder / "curves.png"


if __name__ == "__main__":
    main()
