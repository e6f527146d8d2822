"""The settings that a stranger's model file brings, read field by field."""

from __future__ import annotations

from typing import Any

from engines.errors import CheckpointError

MAX_WIDTH = 1 << 16
MAX_LAYERS = 256


class FileSettings:
    """The settings of a file, read field by field with limits; every error names the field."""

    def __init__(self, value: Any, name: str) -> None:
        if not isinstance(value, dict):
            raise CheckpointError(f"{name} holds no settings")
        self.value = value
        self.name = name

    def group(self, key: str) -> FileSettings:
        """The settings under `key`; empty or missing ones are refused."""
        return FileSettings(self.value.get(key), f"{self.name}: {key}")

    def text(self, key: str) -> str:
        """A text, "" if it is missing or something else."""
        value = self.value.get(key)
        return value if isinstance(value, str) else ""

    def expect(self, key: str, wanted: str | int | bool) -> None:
        """Refuse a file in which `key` is not `wanted`."""
        if self.value.get(key) != wanted:
            raise CheckpointError(f"{self.name}: {key} must be {wanted}, not {self.value.get(key)}")

    def integer(self, key: str, limit: int = MAX_WIDTH) -> int:
        """A whole number from 1 to `limit`."""
        return self._integer(key, self.value.get(key), limit)

    def number(self, key: str) -> float:
        """A number between 0 and 1."""
        value = self.value.get(key)
        if not isinstance(value, float) or not 0 < value < 1:
            raise CheckpointError(f"{self.name}: {key} must lie between 0 and 1, not {value}")
        return value

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers, at least one."""
        return self._integers(key, self.value.get(key))

    def nested_integers(self, key: str) -> tuple[tuple[int, ...], ...]:
        """A list of lists of whole numbers."""
        return tuple(self._integers(key, part) for part in self._list(key, self.value.get(key)))

    def _integer(self, key: str, value: Any, limit: int) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= limit:
            raise CheckpointError(f"{self.name}: {key} must be 1 to {limit}, not {value}")
        return value

    def _integers(self, key: str, value: Any) -> tuple[int, ...]:
        return tuple(self._integer(key, part, MAX_WIDTH) for part in self._list(key, value))

    def _list(self, key: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_LAYERS:
            raise CheckpointError(f"{self.name}: {key} must be a list, not {value}")
        return value
