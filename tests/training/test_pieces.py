"""A checkpoint is small, travels in parts, and going on from it is going on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training import pieces
from training.pieces import Piece, load_networks


def run(folder: Path) -> tuple[Piece, nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
    return Piece(folder, {"net": network}, {"all": optimizer}, minutes=60), network, optimizer


def steps(
    piece: Piece, network: nn.Module, optimizer: torch.optim.Optimizer, seed: int
) -> list[Tensor]:
    torch.manual_seed(seed)
    for _ in range(5):
        optimizer.zero_grad()
        loss = (network(torch.randn(16, 6)) - 1).square().mean()
        loss.backward()
        optimizer.step()
        piece.note({"total": loss}, every=5)
    return [parameter.detach().clone() for parameter in network.parameters()]


def test_a_resumed_training_goes_on_exactly(tmp_path: Path) -> None:
    piece, network, optimizer = run(tmp_path)
    steps(piece, network, optimizer, 1)
    piece.save()
    expected = steps(piece, network, optimizer, 2)
    again, network, optimizer = run(tmp_path)
    assert again.resume()
    assert again.step == 5
    resumed = steps(again, network, optimizer, 2)
    for ours, theirs in zip(resumed, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_the_optimizer_remembers_how_steep_each_weight_is(tmp_path: Path) -> None:
    piece, network, optimizer = run(tmp_path)
    steps(piece, network, optimizer, 1)
    weight = next(network.parameters())
    before = optimizer.state[weight]["exp_avg_sq"].clone()
    piece.save()
    after = optimizer.state[weight]["exp_avg_sq"]
    assert torch.corrcoef(torch.stack([before.flatten(), after.flatten()]))[0, 1] > 0.7
    torch.testing.assert_close(after.mean(), before.mean())


def test_a_checkpoint_comes_in_parts_that_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PART", 1000)
    piece, network, _ = run(tmp_path)
    piece.save()
    parts = sorted(tmp_path.glob("checkpoint.*"))
    assert len(parts) > 1
    assert max(part.stat().st_size for part in parts) == 1000
    loaded = load_networks(tmp_path)["net"]
    torch.testing.assert_close(
        loaded["0.weight"], dict(network.named_parameters())["0.weight"].detach()
    )


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    assert not run(tmp_path)[0].resume()


@pytest.mark.parametrize(("minutes", "limit", "wanted"), [(60, 3, 3), (0, 0, 0)])
def test_it_ends_in_time_or_after_its_steps(
    tmp_path: Path, minutes: float, limit: int, wanted: int
) -> None:
    piece = Piece(tmp_path, {}, {}, minutes, limit)
    while piece.running:
        piece.note({})
    assert piece.step == wanted


def test_a_network_that_the_checkpoint_lacks_begins_anew(tmp_path: Path) -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    Piece(tmp_path, {"first": first}, {}, 1.0).save()
    fresh, other = nn.Linear(2, 2), second.weight.detach().clone()
    Piece(tmp_path, {"first": fresh, "second": second}, {}, 1.0).resume()
    torch.testing.assert_close(fresh.weight, first.weight)
    torch.testing.assert_close(second.weight, other)


def test_a_snapshot_can_be_asked_for(tmp_path: Path) -> None:
    piece = Piece(tmp_path, {"only": nn.Linear(2, 2)}, {}, 1.0)
    assert not piece.keep(60)
    piece.asked = True
    assert piece.keep(60)
    assert len(list(tmp_path.glob("checkpoint.*"))) == 1
    assert not piece.keep(60)


def test_a_snapshot_lets_the_running_weights_be(tmp_path: Path) -> None:
    network = nn.Linear(2, 2)
    before = network.weight.detach().clone()
    Piece(tmp_path, {"only": network}, {}, 1.0).snapshot()
    assert torch.equal(network.weight, before)
    fresh = nn.Linear(2, 2)
    assert Piece(tmp_path, {"only": fresh}, {}, 1.0).resume()
    torch.testing.assert_close(fresh.weight, before.half().float())
