"""From what a client wrote to sentences that can be said."""

from __future__ import annotations

from sentence_stream import SentenceBoundaryDetector

from engines.text.marks import audible
from service.errors import TextRefused, TextTooLong


class SentenceCutter:
    """Cuts a text into sentences as its pieces come.

    Args:
        limit: characters that all pieces together may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._length = 0
        self._detector = SentenceBoundaryDetector()

    def add(self, piece: str) -> list[str]:
        """The sentences that this piece completes.

        Raises:
            TextTooLong: with this piece the text is over the limit.
        """
        self._length += len(piece)
        if self._length > self._limit:
            message = f"input: {self._length} characters or more, the limit is {self._limit}"
            raise TextTooLong(message, param="input", limit=self._limit)
        return [text for text in self._detector.add_chunk(audible(piece)) if has_words(text)]

    def finish(self) -> list[str]:
        """The last sentence, if there is one."""
        return [text for text in (self._detector.finish(),) if has_words(text)]


def cut(text: str, limit: int) -> list[str]:
    """The sentences of a whole text; at least one.

    Raises:
        TextTooLong: the text is over the limit.
        TextRefused: there is nothing in it to say.
    """
    cutter = SentenceCutter(limit)
    sentences = [*cutter.add(text), *cutter.finish()]
    if not sentences:
        raise nothing_to_say(empty=not text.strip(), limit=limit)
    return sentences


def nothing_to_say(*, empty: bool = False, limit: int | None = None) -> TextRefused:
    """The error for a text without a word."""
    message = "input: is empty" if empty else "input: there is no word in it to say"
    return TextRefused(message, param="input", limit=limit)


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit in it."""
    return any(character.isalnum() for character in text)
