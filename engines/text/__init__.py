"""The text front end: what is written becomes what is said."""

from engines.text.types import PhonemizedText, Run

__all__ = ["PhonemizedText", "Run"]
