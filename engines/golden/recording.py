"""Watching a network from outside: what went into and came out of each of its modules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(slots=True)
class Recording:
    """First positional input and output of every module's latest call, by module name."""

    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recording(network: nn.Module) -> Iterator[Recording]:
    """Record every module of `network` while the context lasts."""
    record = Recording()

    def hook(name: str) -> Any:
        def note(_module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            if arguments and isinstance(output, Tensor):
                record.inputs[name] = arguments[0].numpy()
                record.outputs[name] = output.numpy()

        return note

    handles = [module.register_forward_hook(hook(name)) for name, module in network.named_modules()]
    try:
        yield record
    finally:
        for handle in handles:
            handle.remove()
