"""The tool that measures the bridge still measures; what it finds depends on the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import app
from tests.lab import mqtt_latency


@pytest.mark.parametrize("form", ["wav", "opus"])
async def test_it_times_every_request(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "ClipShelf", mqtt_latency.KnownShelf)
    said, fetched = await mqtt_latency.measure(3, form, tmp_path)
    assert (len(said), len(fetched)) == (3, 3)
    assert min(said) > 0
    assert min(fetched) >= min(said)
    # A voice that has lost a part of what the service asks for is slower, not silent.
    assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == []
