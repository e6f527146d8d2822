"""English sentences of our own: what a home announces, small talk, and rare words in plain frames.

Everything is drawn from the lists below and, for the rare words, from the front end's dictionary
(CMUdict), so that every phone meets every other. The same seed gives the same sentences.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path


def _lists() -> dict[str, list[str]]:
    text = Path(__file__).with_name("words.txt").read_text("ascii")
    parts = re.split(r"^\[(\w+)\]$", text, flags=re.MULTILINE)[1:]
    return {
        name: [word.strip() for word in " ".join(words.split()).split("|") if word.strip()]
        for name, words in zip(parts[::2], parts[1::2], strict=True)
    }


_LISTS = _lists()
_ROOMS = _LISTS["rooms"]
_DEVICES = _LISTS["devices"]
_OPENINGS = _LISTS["openings"]
_NAMES = _LISTS["names"]
_MEALS = _LISTS["meals"]
_TASKS = _LISTS["tasks"]
_DAYS = _LISTS["days"]
_WEATHER = _LISTS["weather"]
_NUMBERS = _LISTS["numbers"]
_MINUTES = _LISTS["minutes"]
_NOUNS = _LISTS["nouns"]
_ADJECTIVES = _LISTS["adjectives"]
_PAST = _LISTS["past"]
_ADVERBS = _LISTS["adverbs"]
_PLACES = _LISTS["places"]
_HOURS = _NUMBERS[:12]
_FRAMES = (
    "{0} and {1}, {2} or {3}.",
    "The {0} of the {1} was {2}.",
    "He said {0}, not {1}.",
    "Is {0} the same as {1}?",
    "{0}, {1}, {2} and {3}.",
    "My {0} {1} has a {2} {3}.",
    "Nobody in {0} knows {1} {2}.",
    "We call it {0} {1} because of the {2}.",
    "Please spell {0} and {1} for me.",
    "A {0} with {1} and some {2}.",
    "{0} {1} {2} {3} {4}.",
    "The word after {0} is {1}.",
    "Between {0} and {1} there is {2}, they say, but no {3}.",
)


def sentences(seed: int, wanted: int, avoid: frozenset[str] = frozenset()) -> list[str]:
    """Draw different sentences of 2 to about 25 words.

    Args:
        seed: same seed, same sentences.
        wanted: how many.
        avoid: sentences (see `folded`) that must not come.
    """
    rng = random.Random(seed)
    kinds: list[Callable[[random.Random], str]] = [_home, _home, _general, _rare, _joined]
    seen = set(avoid)
    out: list[str] = []
    while len(out) < wanted:
        text = rng.choice(kinds)(rng)
        text = text[0].upper() + text[1:]
        if folded(text) not in seen and len(text) <= 150:
            seen.add(folded(text))
            out.append(text)
    return out


def held_out(wanted: int = 200) -> list[str]:
    """Sentences that no training set contains; keep them out with `avoid`."""
    return sentences(987_654_321, wanted)


def folded(text: str) -> str:
    """A text without case and marks, to tell different sentences apart."""
    return re.sub(r"[^a-z ]", "", text.lower())


def training_sentences(seed: int, wanted: int) -> Iterator[str]:
    """`sentences` without the held-out ones."""
    yield from sentences(seed, wanted, frozenset(folded(text) for text in held_out()))


def _home(rng: random.Random) -> str:
    pick = rng.choice
    room, other, device, opening = pick(_ROOMS), pick(_ROOMS), pick(_DEVICES), pick(_OPENINGS)
    name, day, task, number = pick(_NAMES), pick(_DAYS), pick(_TASKS), _number(rng)
    time = f"{pick(_HOURS)} {pick(_MINUTES)}"
    return pick(
        (
            f"The {device} in the {room} is done.",
            f"The {device} has finished, please empty it before {time}.",
            f"{pick(_MEALS)} is ready, come to the {room}!",
            f"{pick(_MEALS)} will be ready in {number} minutes.",
            f"The {opening} in the {room} is still open.",
            f"It is {number} degrees in the {room} and {_number(rng)} degrees outside.",
            f"{name}, please {task} before you leave the house.",
            f"Don't forget to {task} on {day}.",
            f"Good morning, {name}, it is {time} and there will be {pick(_WEATHER)} at noon.",
            f"{name} is at the front door.",
            f"Someone is moving in the {room}.",
            f"The {device} used {number} kilowatt hours since {day}.",
            f"Warning, smoke was detected in the {room}, leave the house at once.",
            f"The lights in the {room} and the {other} are off.",
            f"Your timer for {number} minutes has ended.",
            f"The battery of the {room} sensor is at {number} percent.",
            f"The next bus leaves in {number} minutes from the corner, so hurry up, {name}.",
            f"{name} has arrived home and the alarm is off.",
            f"Expect {pick(_WEATHER)} on {day}, with up to {number} degrees.",
            f"Good night, {name}, the {opening} is locked and the {device} is off.",
            f"A parcel for {name} was left in the {room}.",
            f"Water is leaking under the {device}, please check the {room} now.",
            f"It is {time}, time for {name} to {task}.",
            f"Should I turn off the {device} in the {room}?",
            f"Playing music in the {room} and the {other}.",
        )
    )


def _general(rng: random.Random) -> str:
    pick = rng.choice
    noun, second, third = pick(_NOUNS), pick(_NOUNS), pick(_NOUNS)
    adjective, other, past, place = pick(_ADJECTIVES), pick(_ADJECTIVES), pick(_PAST), pick(_PLACES)
    name, number = pick(_NAMES), _number(rng)
    return pick(
        (
            f"The {adjective} {noun} {past} the {second} {place}.",
            f"{name} {past} a {adjective} {noun} and {number} {second}s.",
            f"Why has the {noun} {past} such a {adjective} {second}?",
            f"I have never seen a {noun} as {adjective} as this {second}, said {name}.",
            f"When the {noun} was {adjective}, nobody {past} the {other} {second} {place}.",
            f"Between the {noun} and the {second} lies a {adjective} {third}.",
            f"You can have the {adjective} {noun}, or the {other} one, or both.",
            f"Every {noun} needs a {second}.",
            f"What a {adjective} {noun}!",
            f"She thinks that the {noun} {place} is more {adjective} than the {second}.",
            f"{name} and {pick(_NAMES)} {past} the {noun} {pick(_ADVERBS)}.",
            f"After {number} years the {adjective} {noun} {past} its {second} and {third}.",
        )
    )


def _rare(rng: random.Random) -> str:
    words = [rng.choice(_dictionary()) for _ in range(5)]
    return rng.choice(_FRAMES).format(*words)


def _joined(rng: random.Random) -> str:
    first, second = (rng.choice((_home, _general, _rare))(rng) for _ in range(2))
    joint = rng.choice(("and", "but", "so", "because"))
    return f"{first.rstrip('.!?')}, {joint} {second[0].lower() + second[1:]}"


def _number(rng: random.Random) -> str:
    tens = rng.choice(_NUMBERS[19:])
    return rng.choice((rng.choice(_NUMBERS), f"{tens} {rng.choice(_NUMBERS[:9])}"))


@cache
def _dictionary() -> tuple[str, ...]:
    data = resources.files("engines.text.data").joinpath("en_words.txt.gz").read_bytes()
    keys = (line.split("\t")[0] for line in gzip.decompress(data).decode().splitlines())
    return tuple(key for key in keys if re.fullmatch("[a-z]{3,12}", key))
