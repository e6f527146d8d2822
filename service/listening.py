"""What a recording sounds like, in numbers: where the speech is, how loud, how clean.

Everything is measured on the energy of 20 ms frames. The noise is what the quietest tenth of the
frames has, since nobody speaks without gaps; speech is what stands out of it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engines.audio import Recording
from engines.prompt import LONGEST, SHORTEST

Floats = npt.NDArray[np.float64]

FRAME, HOP = 0.02, 0.01  # seconds; a frame is two hops
PAUSE = 0.2  # seconds without speech after which a cut is not heard
MARGIN = 0.15  # seconds kept before and after the speech
# A frame within the limits, so that rounding to samples cannot cross them.
_SHORTEST, _LONGEST = SHORTEST + HOP, LONGEST - HOP
_FLOOR_DB = -100.0  # what digital silence counts as
_SPEECH_SHARE = 0.4  # of the way from the noise to the loud frames, in dB: above is speech
_RUN = 3  # samples at the peak in a row that count as clipped
_BUCKETS = 100  # pauses that are tried as a beginning or an end, at most


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a recording, in seconds from its beginning."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Sound:
    """Measures of a recording.

    Attributes:
        peak: largest magnitude, 0 to 1.
        level: RMS of the speech in dB of full scale.
        noise: RMS of the gaps in dB of full scale.
        spread: dB between loud and quiet frames; what does not change is not speech.
        speech: seconds with speech.
        clipped: share of samples in flat tops.
    """

    peak: float
    level: float
    noise: float
    spread: float
    speech: float
    clipped: float

    @property
    def snr(self) -> float:
        """Speech above noise, in dB."""
        return self.level - self.noise


def part(recording: Recording, stretch: Stretch) -> Recording:
    """The samples of a stretch."""
    rate = recording.sample_rate
    first, last = round(stretch.start * rate), round(stretch.end * rate)
    return Recording(recording.samples[first:last], rate)


def listen(recording: Recording) -> Sound:
    """Measure a recording."""
    magnitudes = np.abs(recording.samples)
    peak = float(magnitudes.max(initial=0.0))
    energy = _energy(recording)
    quiet, loud = _quiet_and_loud(energy)
    speaks = _speaking(energy)
    return Sound(
        peak=peak,
        level=_mean_db(energy[speaks]),
        noise=_mean_db(energy[energy <= quiet]),
        spread=loud - quiet,
        speech=float(speaks.sum()) * HOP,
        clipped=_flat_tops(magnitudes, peak),
    )


def best_stretch(recording: Recording) -> tuple[Stretch, bool]:
    """The stretch to use as a reference, and whether its ends lie in pauses.

    A recording of up to 10 s of speech is used whole, without the silence around it; of a longer
    one the stretch between two pauses is taken that holds the most speech and the least pause.
    Where nobody pauses for breath, ten seconds are cut out at their quietest ends.
    """
    speaks = _speaking(_energy(recording))
    pauses = _pauses(speaks)
    whole = Stretch(_begin(pauses[0]), min(_end(pauses[-1]), recording.seconds))
    if whole.seconds <= _LONGEST:
        return whole, True
    spoken = np.concatenate([[0], np.cumsum(speaks)]) * HOP
    best, best_score = None, 0.0
    for before, after in itertools.combinations(_thinned(pauses), 2):
        stretch = Stretch(_begin(before), min(_end(after), recording.seconds))
        if _SHORTEST <= stretch.seconds <= _LONGEST:
            speech = float(spoken[after[0]] - spoken[before[1]])
            score = speech - 0.5 * (stretch.seconds - speech)
            if score > best_score:
                best, best_score = stretch, score
    if best is not None:
        return best, True
    return _quietest_cut(_energy(recording), whole), False


def spoken_parts(recording: Recording) -> list[Stretch]:
    """What is spoken between the pauses, in order."""
    pauses = _pauses(_speaking(_energy(recording)))
    between = [(before[1], after[0]) for before, after in itertools.pairwise(pauses)]
    return [Stretch(first * HOP, last * HOP) for first, last in between if last > first]


def _energy(recording: Recording) -> Floats:
    """Energy of every frame in dB of full scale, (frames,); at least one frame."""
    hop = round(HOP * recording.sample_rate)
    samples = recording.samples
    if len(samples) < 2 * hop:
        samples = np.pad(samples, (0, 2 * hop - len(samples)))
    blocks = samples[: len(samples) // hop * hop].reshape(-1, hop)
    # Summed as it is converted: two minutes in float64 would be a hundred megabytes.
    sums = np.einsum("ij,ij->i", blocks, blocks, dtype=np.float64)
    power = (sums[:-1] + sums[1:]) / (2 * hop)
    floor: float = 10 ** (_FLOOR_DB / 10)
    decibels: Floats = 10 * np.log10(np.maximum(power, floor))
    return decibels


def _speaking(energy: Floats) -> npt.NDArray[np.bool_]:
    quiet, loud = _quiet_and_loud(energy)
    speaks: npt.NDArray[np.bool_] = energy > quiet + _SPEECH_SHARE * (loud - quiet)
    return speaks


def _quiet_and_loud(energy: Floats) -> tuple[float, float]:
    """Level that a tenth of the frames stays below, and one that a twentieth is above.

    Above the second is a second at most, so that a word in two minutes of silence is found.
    """
    above = min(0.05, 1.0 / (HOP * len(energy)))
    quiet, loud = np.quantile(energy, [0.1, 1 - above])
    return float(quiet), float(loud)


def _pauses(speaks: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Frames [first, last) of every pause; what comes before and after the speech counts, be it
    empty."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], speaks, [True]]).astype(np.int8)))
    gaps = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
    inner = [gap for gap in gaps if gap[0] > 0 and gap[1] < len(speaks)]
    lead = gaps[0] if gaps and gaps[0][0] == 0 else (0, 0)
    tail = gaps[-1] if gaps and gaps[-1][1] == len(speaks) else (len(speaks), len(speaks))
    return [lead, *[gap for gap in inner if (gap[1] - gap[0]) * HOP >= PAUSE], tail]


def _begin(pause: tuple[int, int]) -> float:
    """Where speech after a pause is cut, in seconds."""
    first, last = pause
    return HOP * max(last - round(MARGIN / HOP), (first + last) // 2)


def _end(pause: tuple[int, int]) -> float:
    """Where speech before a pause is cut, in seconds."""
    first, last = pause
    return HOP * min(first + round(MARGIN / HOP), (first + last + 1) // 2) + FRAME - HOP


def _thinned(pauses: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest pauses in order: with many, the short ones are not worth their pairs."""
    longest = sorted(pauses[1:-1], key=lambda gap: gap[0] - gap[1])[: _BUCKETS - 2]
    return [pauses[0], *sorted(longest), pauses[-1]]


def _quietest_cut(energy: Floats, whole: Stretch) -> Stretch:
    """Ten seconds whose ends are the quietest frames near where a cut would fall."""
    first = round(whole.start / HOP)
    length = round(_LONGEST / HOP)
    slack = round(2.0 / HOP)
    begin = first + int(np.argmin(energy[first : first + slack]))
    end = begin + length - slack + int(np.argmin(energy[begin + length - slack : begin + length]))
    return Stretch(begin * HOP, end * HOP)


def _flat_tops(magnitudes: npt.NDArray[np.float32], peak: float) -> float:
    """Share of samples that stand at the peak, several in a row."""
    if not peak:
        return 0.0
    top = magnitudes >= 0.999 * peak
    edges = np.flatnonzero(np.diff(np.concatenate([[False], top, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    return float(lengths[lengths >= _RUN].sum() / len(magnitudes))


def _mean_db(energy: Floats) -> float:
    if not len(energy):
        return _FLOOR_DB
    return float(10 * np.log10(np.mean(10 ** (energy / 10))))
