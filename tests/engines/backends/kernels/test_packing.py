import numpy as np
import pytest

from engines.backends.kernels import packing
from engines.errors import CheckpointError

LAYERS = 2


@pytest.fixture(scope="module")
def weights():
    random = np.random.default_rng(3)
    shapes = {
        "ar_audio_embedding.word_embeddings.weight": (1025, 512),
        "ar_audio_position.alpha": (1,),
        "ar_predict_layer.weight": (1025, 512),
    }
    for layer in range(LAYERS):
        shapes |= {
            f"h.layers.{layer}.{name}": shape
            for name, shape in (
                ("self_attn.in_proj_weight", (1536, 512)),
                ("self_attn.in_proj_bias", (1536,)),
                ("self_attn.out_proj.weight", (512, 512)),
                ("self_attn.out_proj.bias", (512,)),
                ("linear1.weight", (2048, 512)),
                ("linear1.bias", (2048,)),
                ("linear2.weight", (512, 2048)),
                ("linear2.bias", (512,)),
                *((f"norm{n}.{kind}", (512,)) for n in (1, 2) for kind in ("weight", "bias")),
            )
        }
    return {
        name: random.standard_normal(shape).astype(np.float16) for name, shape in shapes.items()
    }


@pytest.fixture(scope="module")
def packed(weights):
    return packing.pack(weights)


def tensor_core_product(blocks, inputs):
    """16 rows by a vector, as the kernels compute it: lane 4g + q, eight weights a block."""
    spread = min(4, len(blocks))
    rows = np.zeros(16)
    for block, lanes in enumerate(blocks.astype(np.float64)):
        for lane, (a, b, c, d) in enumerate(lanes.reshape(32, 4, 2)):
            group, quad = divmod(lane, 4)
            first = block // spread * 16 * spread + 4 * spread * quad + 4 * (block % spread)
            rows[group] += a @ inputs[first : first + 2] + c @ inputs[first + 2 : first + 4]
            rows[group + 8] += b @ inputs[first : first + 2] + d @ inputs[first + 2 : first + 4]
    return rows


PARTS = [0, 37, 127]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_holds_its_rows_of_query_key_and_value(weights, packed, part):
    x = np.random.default_rng(4).standard_normal(512)
    head, rank = divmod(part, 8)
    projected = weights["h.layers.1.self_attn.in_proj_weight"].astype(np.float64) @ x
    wanted = projected.reshape(3, 16, 8, 4)[:, head, rank].ravel()
    rows = tensor_core_product(packed.attention[1, part, :8192].reshape(32, 32, 8), x)
    np.testing.assert_allclose(rows, [*wanted, 0, 0, 0, 0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("array", "name", "width", "blocks"),
    [
        ("attention", "self_attn.out_proj.weight", 32, 2),
        ("feed", "linear2.weight", 128, 8),
    ],
)
def test_a_part_holds_what_its_inputs_add_to_the_rows_of_its_rank(
    weights, packed, part, array, name, width, blocks
):
    x = np.random.default_rng(5).standard_normal(width)
    group, rank = divmod(part, 8)
    columns = weights[f"h.layers.0.{name}"].astype(np.float64)[:, group * width :][:, :width]
    wanted = (columns @ x)[rank * 64 :][:64]
    tiles = getattr(packed, array)[0, part, 8192:].reshape(4, blocks, 32, 8)
    rows = np.concatenate([tensor_core_product(tile, x) for tile in tiles])
    np.testing.assert_allclose(rows, wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", PARTS)
def test_a_part_holds_its_hidden_units(weights, packed, part):
    x = np.random.default_rng(6).standard_normal(512)
    wanted = weights["h.layers.0.linear1.weight"].astype(np.float64)[part * 16 :][:16] @ x
    rows = tensor_core_product(packed.feed[0, part, :8192].reshape(32, 32, 8), x)
    np.testing.assert_allclose(rows, wanted, rtol=1e-9, atol=1e-9)


def test_the_vocabulary_follows_the_last_layer(weights, packed):
    x = np.random.default_rng(7).standard_normal(512)
    blocks = packed.attention[LAYERS, :65, :8192].reshape(65, 32, 32, 8)
    logits = np.concatenate([tensor_core_product(tile, x) for tile in blocks])
    wanted = weights["ar_predict_layer.weight"].astype(np.float64) @ x
    np.testing.assert_allclose(logits[:1025], wanted, rtol=1e-9, atol=1e-9)
    assert not logits[1025:].any()
    assert not packed.attention[LAYERS, 65:].any()
    assert not packed.attention_biases[LAYERS, :, 64:].any()


def test_biases_stand_where_their_sums_are_made(weights, packed):
    group, rank = divmod(37, 8)
    in_proj = weights["h.layers.1.self_attn.in_proj_bias"].reshape(3, 16, 8, 4)[:, group, rank]
    np.testing.assert_array_equal(packed.attention_biases[1, 37, 64:76], in_proj.ravel())
    np.testing.assert_array_equal(
        packed.attention_biases[1, 37, :64], weights["h.layers.0.linear2.bias"][rank * 64 :][:64]
    )
    np.testing.assert_array_equal(
        packed.feed_biases[1, 37, :64], weights["h.layers.1.self_attn.out_proj.bias"][320:384]
    )
    np.testing.assert_array_equal(
        packed.feed_biases[1, 37, 64:], weights["h.layers.1.linear1.bias"][37 * 16 :][:16]
    )


def test_positions_are_those_of_the_network(weights, packed):
    torch = pytest.importorskip("torch")
    from engines.networks.t2s import Position

    position = Position(512)
    with torch.no_grad():
        alpha = torch.from_numpy(weights["ar_audio_position.alpha"].astype(np.float32))
        wanted = (alpha * position.table).numpy()
    np.testing.assert_allclose(packed.positions, wanted, atol=5e-4)
    np.testing.assert_allclose(packed.positions[:300], wanted[:300], atol=5e-5)


@pytest.mark.parametrize(
    "name", ["ar_audio_embedding.word_embeddings.weight", "h.layers.0.linear1.weight"]
)
def test_another_size_is_refused_by_name(weights, name):
    with pytest.raises(CheckpointError, match=name):
        packing.pack(weights | {name: np.zeros((64, 64), np.float16)})
