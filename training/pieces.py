"""Training in pieces: a time limit, a checkpoint that fits a transfer, a log.

A checkpoint holds weights in half precision and, of Adam's state, the second moments as the product
of their row and column means (Shazeer & Stern 2018): 2 bytes a weight instead of 12. Saving rounds
the running networks to what was saved, so that going on and loading again are the same.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PART = 15 << 20
"""Bytes of one file of a checkpoint; the transfer takes files up to 16 MiB."""


class Piece:
    """One run of a training.

    Args:
        folder: of the checkpoint and the log.
        networks: by name; their weights and buffers are kept.
        optimizers: by name; AdamW.
        minutes: after these `running` is false.
        steps: after so many steps in all `running` is false; 0 for no such limit.
        started: where the minutes count from (`time.monotonic`), by default now.
    """

    def __init__(
        self,
        folder: Path,
        networks: Mapping[str, nn.Module],
        optimizers: Mapping[str, torch.optim.Optimizer],
        minutes: float,
        steps: int = 0,
        started: float | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.networks, self.optimizers = networks, optimizers
        self.step, self.minutes_before = 0, 0.0
        self._started = time.monotonic() if started is None else started
        self._kept = time.monotonic()
        self._limit, self._steps = 60 * minutes, steps
        self._sums: dict[str, Tensor] = {}
        self._count = 0
        self.asked = False
        """Whether somebody wants a snapshot now."""

    @property
    def running(self) -> bool:
        """Whether there is time for another step."""
        in_time = time.monotonic() - self._started < self._limit
        return in_time and not (self._steps and self.step >= self._steps)

    @property
    def minutes(self) -> float:
        """Minutes of all pieces so far."""
        return self.minutes_before + self._spent()

    def keep(self, minutes: float) -> bool:
        """Write a snapshot, if the last one is so many minutes old or it is `asked` for."""
        if not self.asked and time.monotonic() - self._kept <= 60 * minutes:
            return False
        self._kept, self.asked = time.monotonic(), False
        self.snapshot()
        return True

    def note(self, values: Mapping[str, Tensor], every: int = 50) -> None:
        """Count a step and log the mean of its values from time to time."""
        self.step += 1
        self._count += 1
        for name, value in values.items():
            # Summed on the device: reading a value would make it wait.
            self._sums[name] = (
                self._sums.get(name, torch.zeros(())).to(value.device) + value.detach()
            )
        if self.step % every == 0:
            row: dict[str, float] = {
                "step": self.step,
                "minutes": round(self.minutes, 3),
                **{
                    name: round(float(total) / self._count, 5) for name, total in self._sums.items()
                },
            }
            self._sums, self._count = {}, 0
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)

    def save(self) -> None:
        """Write the checkpoint, and round the running state to it."""
        self._restore(self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """Write the checkpoint and let the running state be; returns what was written."""
        state = {
            "step": self.step,
            "minutes": self.minutes,
            "networks": {
                name: {key: _half(value) for key, value in network.state_dict().items()}
                for name, network in self.networks.items()
            },
            "optimizers": {name: _compact(o) for name, o in self.optimizers.items()},
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        data = stream.getvalue()
        for number, start in enumerate(range(0, len(data), PART)):
            unfinished = self.folder / f"unfinished.{number:02d}"
            unfinished.write_bytes(data[start : start + PART])
        for old in self.folder.glob("checkpoint.*"):
            old.unlink()
        for part in self.folder.glob("unfinished.*"):
            part.rename(self.folder / f"checkpoint{part.suffix}")
        return state

    def resume(self) -> bool:
        """Take up the folder's checkpoint; returns whether there was one."""
        parts = sorted(self.folder.glob("checkpoint.*"))
        if not parts:
            return False
        data = b"".join(part.read_bytes() for part in parts)
        self._restore(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
        return True

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.step, self.minutes_before = state["step"], state["minutes"]
        self._started, self._limit = time.monotonic(), self._limit - 60 * self._spent()
        for name, network in self.networks.items():
            if name in state["networks"]:  # else it begins anew
                # Parts that the checkpoint does not know yet begin anew.
                network.load_state_dict({**network.state_dict(), **state["networks"][name]})
        for name, optimizer in self.optimizers.items():
            if name in state["optimizers"]:
                _expand(optimizer, state["optimizers"][name])

    def _spent(self) -> float:
        return (time.monotonic() - self._started) / 60


def load_networks(folder: Path) -> dict[str, dict[str, Tensor]]:
    """The weights of a checkpoint by network, as float32."""
    data = b"".join(part.read_bytes() for part in sorted(folder.glob("checkpoint.*")))
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return {
        name: {key: v.float() if v.is_floating_point() else v for key, v in weights.items()}
        for name, weights in state["networks"].items()
    }


def _half(value: Tensor) -> Tensor:
    value = value.detach().cpu()
    return value.clamp(-65504, 65504).half() if value.is_floating_point() else value.clone()


def _compact(optimizer: torch.optim.Optimizer) -> list[dict[str, Tensor]]:
    rows: list[dict[str, Tensor]] = []
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state.get(parameter)
            if not state:
                rows.append({})
                continue
            second = state["exp_avg_sq"].detach().float().cpu().reshape(parameter.shape[0], -1)
            rows.append(
                {
                    "step": torch.as_tensor(state["step"]).detach().cpu().clone(),
                    "rows": second.mean(1),
                    "columns": second.mean(0),
                }
            )
    return rows


def _expand(optimizer: torch.optim.Optimizer, rows: list[dict[str, Tensor]]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if len(rows) > len(parameters):
        raise ValueError(f"state of {len(rows)} weights, the networks have {len(parameters)}")
    for parameter, row in zip(parameters, rows, strict=False):
        optimizer.state.pop(parameter, None)
        if not row:
            continue
        product = row["rows"][:, None] * row["columns"] / row["rows"].mean().clamp(min=1e-30)
        # The first moments begin anew, ten steps fill them.
        fused = bool(optimizer.defaults.get("fused"))
        optimizer.state[parameter] = {
            "step": row["step"].clone().to(parameter.device if fused else "cpu"),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": product.reshape(parameter.shape).to(parameter),
        }
