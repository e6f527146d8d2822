"""Does TensorRT read every graph, and in which types? `tensorrt_layers.py ROOT MODEL`.

Releases that choose types themselves are told which layers stay float32 (`tensorrt_module`). That
rests on the types they tell: were every layer said to be float32, half engines would be slow.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from engines.backends.tensorrt_module import find_tensorrt, sorted_layers
from engines.build import ENGINE_PRECISIONS, graph_model, speaking
from engines.model_folder import ModelFolder


def main(root: Path, name: str) -> int:
    """Print a line for each graph and precision."""
    found = find_tensorrt()
    trt, logger, folder = found.module, found.logger(), ModelFolder.read(root / "models" / name)
    builder = trt.Builder(logger)
    for graph in speaking(folder):
        for precision in ENGINE_PRECISIONS[:1]:
            network = builder.create_network(
                1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
            )
            parser = trt.OnnxParser(network, logger)
            read = parser.parse(graph_model(folder, graph, precision, False).SerializeToString())
            if not read:
                print("FAILED", graph, precision, parser.get_error(0).desc(), flush=True)
                continue
            layers = [network.get_layer(index) for index in range(network.num_layers)]
            types = Counter(str(layer.get_output(0).dtype) for layer in layers if layer.num_outputs)
            careful, halved = sorted_layers(trt, network)
            kept = Counter(str(layer.type) for layer in careful)
            print(
                "OK",
                graph,
                precision,
                f"{len(layers)} layers, {len(halved)} products in float16",
                f"float32 stay {dict(kept)}",
                dict(types),
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
