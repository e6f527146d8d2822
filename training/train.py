"""The three trainings, in pieces: `python -m training.train tokenizer|codes|sovits|t2s`."""

from __future__ import annotations

import argparse
import math
import random
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import sizes, sovits, t2s, tokenizer
from training.corpus import CODE, Corpus
from training.discriminators import Discriminators
from training.graphs import Replayed
from training.pieces import Piece, load_networks

MISHEARD = 0.08
"""Share of the heard tokens that T2S gets wrong while it learns."""
_BEGAN = time.monotonic()  # reading the data counts: a command has ten minutes


def main() -> None:
    """Train one network for some minutes, from its folder's checkpoint if there is one."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("what", choices=("tokenizer", "codes", "sovits", "t2s"))
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders of shards")
    parser.add_argument("--out", type=Path, required=True, help="folder; WHAT gets one inside")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--planned", type=float, default=27.0, help="minutes of all pieces")
    parser.add_argument(
        "--restart", action="store_true", help="the schedule begins anew with this piece"
    )
    parser.add_argument("--snapshots", type=float, default=4.0, help="minutes between snapshots")
    parser.add_argument("--steps", type=int, default=0, help="end after so many in all")
    parser.add_argument("--seconds", type=int, default=0, help="speech in a batch; 0: the default")
    parser.add_argument("--adversary-from", type=int, default=1500, help="step (sovits)")
    parser.add_argument(
        "--no-graphs", action="store_true", help="launch kernels one by one (sovits)"
    )
    parser.add_argument(
        "--channels-last", action="store_true", help="layout of the discriminators (sovits)"
    )
    parser.add_argument("--workers", type=int, default=1, help="threads that read shards")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.device == "cuda":
        fast_convolutions()
    if args.what == "codes":  # near rows differ in the last digits
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    {"tokenizer": _tokenizer, "codes": _codes, "sovits": _sovits, "t2s": _t2s}[args.what](args)
    if args.device == "cuda":
        print(f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB of GPU memory at most")


def _tokenizer(args: Any) -> None:
    corpus = _corpus(args)
    network = tokenizer.Tokenizer(sizes.HUBERT).to(args.device)
    judges = tokenizer.Judges(sizes.SSL, len(corpus.speakers)).to(args.device)
    optimizer = _adam([*network.parameters(), *judges.parameters()], args)
    piece = _piece(args, {"tokenizer": network, "judges": judges}, {"all": optimizer})
    while piece.running:
        piece.keep(args.snapshots)
        _set_rate(optimizer, 6e-4, piece, args)
        batch = tokenizer.draw(corpus, args.seconds or 960)
        # The opponent first learns what there is to hide, then hides it.
        turned = 0.3 * min(piece.step / 2000, 1.0)
        with _half(args.device):
            parts = tokenizer.losses(network, judges, batch, turned)
        _learn(optimizer, parts["total"], 1.0)
        piece.note(parts)
    piece.save()


def _codes(args: Any) -> None:
    """Tokens of the whole corpus: a few megabytes, all that T2S needs of the speech."""
    corpus = _corpus(args)
    codes = tokenizer.encode(_frozen(args), corpus)
    used = torch.cat(codes).long().bincount(minlength=1025).float()
    share = used / used.sum()
    entropy = -(share * share.clamp(min=1e-12).log2()).sum()
    print(f"{int(used.sum())} tokens, {int((used > 0).sum())} rows in use, {entropy:.2f} bits")
    torch.save(
        {
            "codes": [row.cpu() for row in codes],
            "phones": [row.to(torch.int16).cpu() for row in corpus.phones],
            "speech": (corpus.lengths // CODE).cpu(),
            "speaker": corpus.speaker.cpu(),
        },
        args.out / "codes.pt",
    )


def _sovits(args: Any) -> None:
    corpus = _corpus(args)
    source = sovits.Source(corpus, tokenizer.encode(_frozen(args), corpus))
    torch.backends.cudnn.benchmark = args.device == "cuda"
    codebook = load_networks(args.out / "tokenizer")["tokenizer"]["quantizer.embed"].to(args.device)
    network = sovits.Sovits(sizes.SOVITS).to(args.device)
    judges = Discriminators().to(args.device)
    kl_weight = torch.tensor(1.0, device=args.device)  # a tensor: graphs read it anew
    step, speaker, listener, average = sovits_step(
        args,
        network,
        judges,
        lambda tokens: source.draw(args.seconds or 52, tokens),
        codebook,
        args.channels_last,
        kl_weight,
    )
    # The names are new with the narrower discriminators: older checkpoints' are not taken up.
    piece = _piece(
        args, {"sovits": network, "audience": judges}, {"speaker": speaker, "audience": listener}
    )
    average.follow(network, 1.0)
    spoken = Piece(args.out / "spoken", {"sovits": average}, {}, 0.0)
    signal.signal(signal.SIGUSR1, lambda *_: setattr(piece, "asked", True))
    graphs = args.device == "cuda" and not args.no_graphs
    run = Replayed(step) if graphs else step
    while piece.running:
        if piece.keep(args.snapshots):
            spoken.snapshot()
        done = _set_rate(speaker, 3e-4, piece, args)
        _set_rate(listener, 2e-4, piece, args)
        kl_weight.fill_(sovits.divergence_weight(done))
        piece.note(run((random.choice(sovits.WINDOWS), piece.step >= args.adversary_from)))
    piece.save()
    spoken.snapshot()


def sovits_step(
    args: Any,
    network: sovits.Sovits,
    judges: Discriminators,
    draw: Callable[[int], sovits.Batch],
    codebook: Tensor,
    channels_last: bool,
    kl_weight: Tensor | float = 1.0,
) -> tuple[
    Callable[[tuple[int, bool]], dict[str, Tensor]],
    torch.optim.Optimizer,
    torch.optim.Optimizer,
    sovits.Average,
]:
    """A step of (tokens of a window, whether the discriminators take part), and what it moves."""
    if channels_last:
        judges.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    speaker = _adam([p for p in network.parameters() if p.requires_grad], args, (0.8, 0.99))
    listener = _adam(list(judges.parameters()), args, (0.8, 0.99))
    average = sovits.Average(network)

    def step(kind: tuple[int, bool]) -> dict[str, Tensor]:
        tokens, adversary = kind
        # Short windows or long, the generator speaks as much.
        pieces = tokens // min(sovits.WINDOWS)
        with _half(args.device):
            parts = sovits.step(
                network, judges, draw(tokens), codebook, adversary, pieces, kl_weight
            )
        if adversary:
            _backward(listener, parts["discriminators"], keep=True)
        _backward(speaker, parts["total"])
        if adversary:
            _update(listener, 20.0)
        _update(speaker, 20.0)
        average.follow(network)
        return {name: value.detach() for name, value in parts.items()}

    return step, speaker, listener, average


def fast_convolutions() -> None:
    """How convolutions are computed while training on a GPU."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.benchmark_limit = 5


def _t2s(args: Any) -> None:
    table = torch.load(args.out / "codes.pt", weights_only=True)
    examples = [
        t2s.Example(phones.long(), codes, int(speech))
        for phones, codes, speech in zip(
            table["phones"], table["codes"], table["speech"], strict=True
        )
    ]
    network = t2s.start(sizes.T2S).to(args.device)
    optimizer = _adam(list(network.parameters()), args)
    piece = _piece(args, {"t2s": network}, {"all": optimizer})
    while piece.running:
        for pairs in _pairs(examples, table["speaker"].tolist(), args.seconds or 2400):
            if not piece.running:
                break
            piece.keep(args.snapshots)
            _set_rate(optimizer, 8e-4, piece, args, 600)
            batch = t2s.collate(pairs, sizes.T2S.eos).to(args.device)
            batch = batch.misheard(MISHEARD, sizes.T2S.eos)
            with _half(args.device):
                parts = t2s.loss(network, batch)
            _learn(optimizer, parts["total"], 1.0)
            piece.note(parts)
    piece.save()


def _pairs(
    examples: list[t2s.Example], speakers: list[int], seconds: int
) -> Iterable[list[tuple[t2s.Example | None, t2s.Example]]]:
    """One round through all targets: prompts of 3 to 10 s, one in ten without, by length."""
    prompts: dict[int, list[t2s.Example]] = {}
    for example, speaker in zip(examples, speakers, strict=True):
        if 75 <= example.speech <= 250:
            prompts.setdefault(speaker, []).append(example)
    pairs: list[tuple[t2s.Example | None, t2s.Example]] = []
    for target, speaker in zip(examples, speakers, strict=True):
        mine = prompts.get(speaker)
        pairs.append((random.choice(mine) if mine and random.random() < 0.9 else None, target))
    lengths = [
        len(t.phones) + t.speech + (len(p.phones) + len(p.codes) if p else 0) for p, t in pairs
    ]
    batches = t2s.buckets(lengths, seconds * 25)
    random.shuffle(batches)
    for numbers in batches:
        yield [pairs[number] for number in numbers]


def _corpus(args: Any) -> Corpus:
    corpus = Corpus.load(args.data, args.device, args.workers)
    print(f"{len(corpus)} utterances, {corpus.hours:.2f} h, {len(corpus.speakers)} speakers")
    return corpus


def _frozen(args: Any) -> tokenizer.Tokenizer:
    network = tokenizer.Tokenizer(sizes.HUBERT)
    network.load_state_dict(load_networks(args.out / "tokenizer")["tokenizer"])
    return network.to(args.device).eval()


def _piece(
    args: Any, networks: dict[str, nn.Module], optimizers: dict[str, torch.optim.Optimizer]
) -> Piece:
    torch.manual_seed(args.seed)
    piece = Piece(args.out / args.what, networks, optimizers, args.minutes, args.steps, _BEGAN)
    if piece.resume():
        # Otherwise every piece would see the same windows.
        torch.manual_seed(args.seed + piece.step)
        random.seed(args.seed + piece.step)
    return piece


def _adam(
    parameters: list[nn.Parameter], args: Any, betas: tuple[float, float] = (0.9, 0.98)
) -> torch.optim.Optimizer:
    gpu = args.device == "cuda"
    rate = torch.tensor(1e-4, device=args.device)  # a tensor: graphs read it anew
    return torch.optim.AdamW(
        parameters, lr=rate, betas=betas, weight_decay=0.01, fused=gpu, capturable=gpu
    )


def _set_rate(
    optimizer: torch.optim.Optimizer, peak: float, piece: Piece, args: Any, rise: int = 300
) -> float:
    """Up over the first steps, then down to a twentieth along a cosine over the planned minutes.

    Returns:
        The share of the planned minutes that is over.
    """
    before = piece.minutes_before if args.restart else 0.0
    done = min((piece.minutes - before) / args.planned, 1.0)
    fall = 0.05 + 0.475 * (1 + math.cos(math.pi * done))
    for group in optimizer.param_groups:
        group["lr"].fill_(peak * min((piece.step + 1) / rise, 1.0) * fall)
    return done


def _learn(optimizer: torch.optim.Optimizer, loss: Tensor, longest: float) -> None:
    _backward(optimizer, loss)
    _update(optimizer, longest)


def _backward(optimizer: torch.optim.Optimizer, loss: Tensor, keep: bool = False) -> None:
    """Gradients of the optimizer's own parameters, though the loss may know of others."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(loss.device.type, enabled=False):
        loss.backward(  # type: ignore[no-untyped-call]
            inputs=_parameters(optimizer), retain_graph=keep
        )


def _update(optimizer: torch.optim.Optimizer, longest: float) -> None:
    parameters = _parameters(optimizer)
    norm = nn.utils.clip_grad_norm_(parameters, longest)
    if optimizer.defaults["fused"]:
        # A step without a finite gradient is left out, without asking the GPU.
        optimizer.found_inf = (~norm.isfinite()).float()  # type: ignore[attr-defined]
    optimizer.step()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _half(device: str) -> Any:
    # Its cache of cast weights does not outlive the recording of a graph.
    return torch.autocast(device, torch.bfloat16, enabled=device == "cuda", cache_enabled=False)


if __name__ == "__main__":
    main()
