"""The verdict on a recording: whether it can become a voice, in words that help to make a better
one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from engines.audio import Recording
from engines.prompt import LONGEST, SHORTEST, SILENCE
from service.errors import ServiceError
from service.listening import Sound, Stretch, best_stretch, listen, part
from service.speakers import PITCH_JUMP, pitch_jump

Severity = Literal["error", "warning"]

SPREAD = 8.0  # dB between loud and quiet; steady noise and tones have less
LEAST_SPEECH = 1.5  # seconds with voice in a stretch that is long enough
SNR_LEAST, SNR_GOOD = 10.0, 20.0  # dB
CLIPPED_MOST, CLIPPED_GOOD = 0.01, 0.001  # share of samples in flat tops
LEVEL_LEAST, LEVEL_GOOD = -50.0, -36.0  # dB of full scale
RATE_GOOD = 16_000  # Hz; below is a telephone
# Letters and characters per second of the stretch: least, most that is usual, most that anyone can
# say. Slow readers, fast newsreaders, and room for numbers that the text has in digits.
PACE = {
    "en": (3.0, 21.0, 27.0),
    "zh": (1.0, 7.5, 10.0),
    "yue": (1.0, 7.5, 10.0),
    "ja": (1.5, 12.0, 16.0),
    "ko": (1.2, 9.0, 12.0),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or could be better.

    Attributes:
        code: stable name.
        severity: an error refuses the recording, a warning only advises.
        message: for a person: what was found and what to do about it.
        measured: the number it is about.
        limit: what that number should be at least or at most.
    """

    code: str
    severity: Severity
    message: str
    measured: float
    limit: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a recording is worth as a voice.

    Attributes:
        recording: the stretch that would be used, peak at most 1.
        stretch: where it lies in what was sent.
        sound: measures of what was sent (of the stretch, where there is one).
        findings: errors first.
    """

    recording: Recording
    stretch: Stretch
    sound: Sound
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether it can become a voice."""
        return all(finding.severity != "error" for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """The verdict as clients see it."""
        return {
            "accepted": self.accepted,
            "start": round(self.stretch.start, 3),
            "end": round(self.stretch.end, 3),
            "seconds": round(self.stretch.seconds, 3),
            "speech_seconds": round(self.sound.speech, 2),
            "level_db": round(self.sound.level, 1),
            "noise_db": round(self.sound.noise, 1),
            "findings": [asdict(finding) for finding in self.findings],
        }


class RecordingRefused(ServiceError):
    """A recording is readable and still no good as a voice; the findings say why."""

    code = "recording_refused"
    status = 422

    def __init__(self, verdict: Verdict) -> None:
        worst = verdict.findings[0]
        param = "transcript" if worst.code.startswith("transcript") else "file"
        super().__init__(f"{param}: {worst.message}", param=param, limit=worst.limit)
        self.verdict = verdict

    def as_dict(self) -> dict[str, Any]:
        """The error with the whole verdict beside it."""
        return {**super().as_dict(), "verdict": self.verdict.as_dict()}


def judge(recording: Recording, transcript: str | None = None, language: str = "en") -> Verdict:
    """Find the stretch to use and say how good it is.

    Args:
        recording: of any length; finite.
        transcript: what is said in the stretch; None to leave that out.
        language: tag of the transcript's language.
    """
    whole = listen(recording)
    if whole.peak > 1:
        recording = Recording(recording.samples / whole.peak, recording.sample_rate)
        whole = listen(recording)
    everything = Stretch(0.0, recording.seconds)
    if whole.peak < SILENCE:
        silent = "Nothing is to be heard. Was the right microphone chosen, and is it switched on?"
        finding = Finding("silent", "error", silent, round(whole.peak, 6), SILENCE)
        return Verdict(recording, everything, whole, (finding,))
    if recording.seconds >= SHORTEST and whole.spread < SPREAD:
        steady = "There is sound, but no speech stands out of it. Record closer, somewhere quieter."
        finding = Finding("no_speech", "error", steady, round(whole.spread, 1), SPREAD)
        return Verdict(recording, everything, whole, (finding,))
    stretch, in_pauses = best_stretch(recording)
    used = part(recording, stretch)
    sound = listen(used)
    findings = [
        *_length(recording, used, stretch, sound, in_pauses),
        *_quality(used, sound),
        *([] if transcript is None else judge_words(transcript, language, used.seconds)),
    ]
    findings.sort(key=lambda finding: finding.severity != "error")
    return Verdict(used, stretch, sound, tuple(findings))


def judge_words(transcript: str, language: str, seconds: float) -> list[Finding]:
    """Whether a text can be what is said in so many seconds; at most one finding."""
    least, usual, most = PACE[language]
    pace = sum(character.isalnum() for character in transcript) / max(seconds, 0.1)
    measured = round(pace, 1)
    if pace < least:
        message = "The text is too short for the recording. Write down every word that is said."
        return [Finding("transcript_short", "error", message, measured, least)]
    if pace > most:
        message = "The text is longer than anybody says in that time. Write down only what is said."
        return [Finding("transcript_long", "error", message, measured, most)]
    if pace > usual:
        message = "The text is long for the recording. Does it hold only what is said?"
        return [Finding("transcript_fast", "warning", message, measured, usual)]
    return []


def _length(
    recording: Recording, used: Recording, stretch: Stretch, sound: Sound, in_pauses: bool
) -> list[Finding]:
    seconds = round(used.seconds, 2)
    if used.seconds < SHORTEST:
        message = (
            f"Only {seconds:g} s of speech. Read a longer sentence: {SHORTEST:g} to {LONGEST:g} s."
        )
        return [Finding("too_short", "error", message, seconds, SHORTEST)]
    found: list[Finding] = []
    if sound.speech < LEAST_SPEECH:
        message = f"Only {sound.speech:.1f} s with a voice in it; the rest is pauses. Speak on."
        found.append(
            Finding("little_speech", "error", message, round(sound.speech, 2), LEAST_SPEECH)
        )
    if recording.seconds > LONGEST and stretch.seconds < recording.seconds - 1:
        message = (
            f"Used is the stretch from {stretch.start:.1f} to {stretch.end:.1f} s; "
            "the text must be exactly what is said there."
        )
        found.append(Finding("trimmed", "warning", message, round(recording.seconds, 2), LONGEST))
    if not in_pauses:
        message = "The stretch begins or ends within a sentence; record one with a pause around it."
        found.append(Finding("cut_in_speech", "warning", message, seconds, LONGEST))
    return found


def _quality(used: Recording, sound: Sound) -> list[Finding]:
    rows = [
        # code, measured, least that is accepted, least that is good, what to say, sign
        ("quiet", sound.level, LEVEL_LEAST, LEVEL_GOOD, "The voice is very quiet. Move closer."),
        ("noisy", sound.snr, SNR_LEAST, SNR_GOOD, "There is noise behind the voice. Find a quieter"
         " room, and switch off what hums."),
    ]  # fmt: skip
    found: list[Finding] = []
    for code, measured, least, good, message in rows:
        if measured < good:
            severity: Severity = "error" if measured < least else "warning"
            limit = least if severity == "error" else good
            found.append(Finding(code, severity, message, round(measured, 1), limit))
    if sound.clipped > CLIPPED_GOOD:
        severity = "error" if sound.clipped > CLIPPED_MOST else "warning"
        limit = CLIPPED_MOST if severity == "error" else CLIPPED_GOOD
        message = "The recording is overdriven. Turn the microphone down or move away from it."
        found.append(Finding("clipped", severity, message, round(sound.clipped, 4), limit))
    if used.sample_rate < RATE_GOOD:
        message = "The recording sounds like a telephone. Record at 16 kHz or more."
        found.append(Finding("low_rate", "warning", message, used.sample_rate, RATE_GOOD))
    jump = pitch_jump(used)
    if jump > PITCH_JUMP:
        message = (
            "There seem to be two people in the recording. Let one person speak, from beginning "
            "to end; if it was one, read in the same tone throughout."
        )
        found.append(Finding("several_speakers", "warning", message, round(jump, 1), PITCH_JUMP))
    return found
