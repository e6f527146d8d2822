"""The sizes of the small model, once for training, export and the README's count."""

from __future__ import annotations

from engines.spec import SPECS, SYMBOL_COUNTS, HubertConfig, T2SConfig, VitsConfig

SSL = 256

HUBERT = HubertConfig(
    conv_dim=(128,) * 7,
    conv_kernel=(10, 3, 3, 3, 3, 2, 2),
    conv_stride=(5, 2, 2, 2, 2, 2, 2),
    hidden_size=SSL,
    intermediate_size=512,
    num_attention_heads=4,
    num_hidden_layers=4,
    num_conv_pos_embeddings=64,
    num_conv_pos_embedding_groups=16,
    layer_norm_eps=1e-5,
)

SOVITS = VitsConfig(
    inter_channels=96,
    hidden_channels=96,
    filter_channels=384,
    n_heads=2,
    n_layers=4,
    kernel_size=3,
    gin_channels=512,
    upsample_initial_channel=192,
    upsample_rates=SPECS["v2"].decoder.upsample_rates,
    upsample_kernel_sizes=SPECS["v2"].decoder.upsample_kernel_sizes,
    resblock_kernel_sizes=(3, 7, 11),
    resblock_dilation_sizes=((1, 3, 5),) * 3,
    spec_channels=704,
    phone_count=SYMBOL_COUNTS["v2"],
    speaker_embedding=False,
    ssl_channels=SSL,
)

T2S = T2SConfig(
    vocab_size=1025,
    phoneme_vocab_size=SYMBOL_COUNTS["v2"],
    hidden_dim=192,
    head=6,
    n_layer=8,
    eos=1024,
    max_sec=54,
)
