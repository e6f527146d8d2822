"""Each training learns: on one batch, again and again, its loss falls."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from engines.spec import HubertConfig, T2SConfig, VitsConfig
from training import sovits, t2s, tokenizer
from training.corpus import Corpus, halved, pitch_classes
from training.discriminators import Discriminators
from training.posterior import prior, to_prior
from training.quantizer import Quantizer


def falls(loss: Callable[[], Tensor], parameters: list[Tensor], steps: int, rate: float) -> float:
    """Last loss over the first."""
    optimizer = torch.optim.Adam([p for p in parameters if p.requires_grad], lr=rate)
    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        optimizer.step()
        history.append(float(value.detach()))
    return history[-1] / history[0]


def test_the_content_encoder_learns_its_phones(
    corpus: Corpus, tokenizer: tokenizer.Tokenizer
) -> None:
    from training.tokenizer import Batch, Judges, losses

    torch.manual_seed(1)
    judges = Judges(32, len(corpus.speakers))
    batch = Batch(corpus, torch.arange(4), 2, disturb=False)
    parameters = [*tokenizer.parameters(), *judges.parameters()]
    assert falls(lambda: losses(tokenizer, judges, batch)["total"], parameters, 25, 3e-3) < 0.75


def test_sovits_learns_a_window(
    corpus: Corpus, codes: list[Tensor], sovits_config: VitsConfig
) -> None:
    torch.manual_seed(1)
    network = sovits.Sovits(sovits_config)
    judges = Discriminators(2)
    batch = sovits.Source(corpus, codes).cut(torch.tensor([0, 1]), 20)
    codebook = torch.randn(1024, 32)

    def loss() -> Tensor:
        torch.manual_seed(2)
        return sovits.step(network, judges, batch, codebook, adversary=False)["total"]

    assert falls(loss, list(network.parameters()), 15, 1e-3) < 0.8


def test_sovits_adversary_and_all_parts_get_gradients(
    corpus: Corpus, codes: list[Tensor], sovits_config: VitsConfig
) -> None:
    network, judges = sovits.Sovits(sovits_config), Discriminators(2)
    batch = sovits.Source(corpus, codes).cut(torch.tensor([0]), 20)
    parts = sovits.step(network, judges, batch, torch.randn(1024, 32), True)
    learning = {k: p for k, p in network.named_parameters() if p.requires_grad}
    listening = list(judges.parameters())
    parts["discriminators"].backward(retain_graph=True, inputs=listening)
    assert [k for k, p in learning.items() if p.grad is not None] == []
    taught = [p.grad.clone() for p in listening]
    parts["total"].backward(inputs=list(learning.values()))
    assert [k for k, p in learning.items() if p.grad is None] == []
    for parameter, gradient in zip(listening, taught, strict=True):
        assert torch.equal(parameter.grad, gradient)


def test_one_pass_tells_speech_from_the_generators(corpus: Corpus) -> None:
    judges = Discriminators(2)
    real = corpus.windows(torch.tensor([0, 1]), torch.tensor([0, 0]), 8192)[:, None]
    made = torch.randn_like(real) * 0.1
    for ours, alone in zip(judges.compare(real, made), (judges(real), judges(made)), strict=True):
        for layers, expected in zip(ours, alone, strict=True):
            torch.testing.assert_close(layers, expected, atol=1e-5, rtol=1e-4)


def test_the_average_trails_the_running_weights(sovits_config: VitsConfig) -> None:
    network = sovits.Sovits(sovits_config)
    average = sovits.Average(network)
    before = network.vits.dec.conv_pre.weight.detach().clone()
    with torch.no_grad():
        network.vits.dec.conv_pre.weight.add_(1.0)
    average.follow(network, 0.25)
    state = average.state_dict()
    torch.testing.assert_close(state["vits.dec.conv_pre.weight"], before + 0.25)
    # Exported in the running network's place: the same names.
    assert set(state) == {key for key in network.state_dict() if key.startswith("vits.")}


def test_the_adversary_learns(corpus: Corpus) -> None:
    torch.manual_seed(1)
    judges = Discriminators(2)
    real = corpus.windows(torch.tensor([0, 1]), torch.tensor([0, 0]), 8192)[:, None]
    made = torch.randn_like(real) * 0.1

    def loss() -> Tensor:
        return sovits.discriminator_loss(judges(real), judges(made))

    assert falls(loss, list(judges.parameters()), 10, 2e-3) < 0.8


def test_t2s_learns_a_batch(corpus: Corpus, codes: list[Tensor], t2s_config: T2SConfig) -> None:
    torch.manual_seed(1)
    network = t2s.start(t2s_config)
    examples = [
        t2s.Example(phones, row, int(length) // 1280)
        for phones, row, length in zip(corpus.phones, codes, corpus.lengths, strict=True)
    ]
    batch = t2s.collate([(examples[0], examples[2]), (None, examples[1])], 1024)
    assert (
        falls(lambda: t2s.loss(network, batch)["total"], list(network.parameters()), 40, 3e-3) < 0.6
    )


def test_t2s_is_asked_what_the_product_asks(
    corpus: Corpus, codes: list[Tensor], t2s_config: T2SConfig
) -> None:
    # The product draws the first token from the last place of [phones ; prompt], the second from
    # that of the first: `prefill` and training must agree on every logit.
    torch.manual_seed(1)
    network = t2s.start(t2s_config).eval()
    prompt = t2s.Example(corpus.phones[0], codes[0], 30)
    target = t2s.Example(corpus.phones[2], codes[2], 20)
    batch = t2s.collate([(prompt, target)], 1024)
    heard = codes[0][: 30 + t2s.SILENCE].long()
    asked = []
    for told in range(21):
        tokens = torch.cat([heard, target.codes[:told].long()])[None]
        phones = torch.cat([prompt.phones, target.phones])[None]
        logits, _, _ = network.prefill(phones, torch.zeros(1, 1024, phones.shape[1]), tokens)
        wanted = torch.tensor([1024 if told == 20 else int(target.codes[told])])
        asked.append(F.cross_entropy(logits, wanted))
    ours = t2s.Batch(*[getattr(batch, name) for name in t2s.Batch.__slots__])
    only_target = ours.wanted.clone()
    only_target[:, : len(heard) - 1] = -1
    shown = t2s.Batch(
        ours.phones, ours.phone_count, ours.tokens, ours.token_count, only_target, ours.first
    )
    torch.testing.assert_close(t2s.loss(network, shown)["total"], torch.stack(asked).mean())


def test_texts_filled_up_read_as_alone(sovits_config: VitsConfig) -> None:
    torch.manual_seed(1)
    encoder = sovits.Sovits(sovits_config).vits.enc_p.eval()
    rows, style = torch.randn(1, 10, 32), torch.randn(1, 512, 1)
    phones = torch.randint(0, 700, (1, 9))
    mean, _ = prior(encoder, rows, F.pad(phones, (0, 5)), torch.tensor([9]), style)
    expected, _ = encoder.prior(encoder.latent(rows, phones, style), 20)
    torch.testing.assert_close(mean, expected, atol=1e-5, rtol=1e-4)


def test_the_flow_learns_what_the_product_undoes(sovits_config: VitsConfig) -> None:
    torch.manual_seed(1)
    flow = sovits.Sovits(sovits_config).vits.flow
    for coupling in flow.couplings:
        torch.nn.init.normal_(coupling.post.weight)
    z, style = torch.randn(2, 16, 12), torch.randn(2, 512, 1)
    there = to_prior(flow, z, style)
    assert (there - z).abs().max() > 0.1
    torch.testing.assert_close(flow(there, flow.condition(style)), z, atol=1e-4, rtol=1e-4)


def test_the_codebook_follows_its_vectors_and_leaves_no_row_dead() -> None:
    torch.manual_seed(0)
    centres = torch.randn(8, 4) * 5
    quantizer = Quantizer(16, 4)
    for _ in range(200):
        quantizer(centres[torch.randint(8, (16, 8))] + 0.01 * torch.randn(16, 8, 4))
    _, codes, loss = quantizer.eval()(centres[None])
    assert len(codes.unique()) == 8
    assert float(loss) < 0.01
    assert float(quantizer.cluster_size.min()) > 0.1 * float(quantizer.cluster_size.mean())


@pytest.mark.parametrize(("pitch", "wanted"), [(100.0, 3), (220.0, 3)])
def test_a_steady_tone_is_its_own_median(pitch: float, wanted: int) -> None:
    tone = torch.sin(2 * torch.pi * pitch * torch.arange(16_000) / 16_000)[None]
    classes = pitch_classes(F.pad(tone, (0, 16_000)))
    assert classes[0, 2:20].unique().tolist() == [wanted]
    assert classes[0, 30:].unique().tolist() == [0]


def test_halving_keeps_a_low_tone_and_drops_a_high_one() -> None:
    time = torch.arange(32_000) / 32_000
    tones = torch.stack([torch.sin(2 * torch.pi * f * time) for f in (1000.0, 12_000.0)])
    low, high = halved(tones)[:, 1000:-1000].square().mean(1).tolist()
    assert low == pytest.approx(0.5, abs=0.01)
    assert high < 1e-4


def test_phones_are_found_at_their_time(corpus: Corpus) -> None:
    ends = corpus.ends[1]
    found = corpus.phone_at(torch.tensor([1]), torch.stack([ends - 1, ends]).T.reshape(1, -1))
    inside = found[0].reshape(-1, 2)
    torch.testing.assert_close(inside[:-1, 1], inside[1:, 0])
    assert int(inside[-1, 1]) == 0


def test_tokens_of_a_whole_utterance_are_those_of_enrolment(
    corpus: Corpus, codes: list[Tensor], hubert_config: HubertConfig
) -> None:
    torch.manual_seed(0)
    network = tokenizer.Tokenizer(hubert_config).eval()
    length = (int(corpus.lengths[0]) + 19_200 + 10_239) // 10_240 * 10_240
    alone = network(halved(corpus.windows(torch.tensor([0]), torch.tensor([0]), length)))[2][0]
    assert codes[0].tolist() == alone[: len(codes[0])].tolist()
