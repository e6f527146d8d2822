"""The image clones a voice at one press, without a download, where a demo model is shipped."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import numpy as np
import pytest
import soundfile

from service.box import Box
from tests.container.conftest import CONFINED, StartContainer
from tests.container.podman import PATIENCE, Container

pytestmark = pytest.mark.skipif(not Box().is_there, reason="needs service/demo")


def ask(container: Container, token: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    return json.loads(container.ask(path, data, {"Authorization": f"Bearer {token}"}))


def test_a_fresh_image_offers_installs_and_speaks_the_demo(start: StartContainer) -> None:
    container = start(*CONFINED, "--memory", "1g")
    container.ready()
    token = container.token
    assert ask(container, token, "/v1/models")["box"] is True
    job = ask(container, token, "/v1/models", {"source": "box"})
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and job["state"] not in ("done", "failed"):
        time.sleep(0.2)
        job = ask(container, token, f"/v1/models/jobs/{job['id']}")
    assert job["state"] == "done", job
    while time.monotonic() < deadline:
        if ask(container, token, "/v1/models/demo")["state"] == "ready":
            break
        time.sleep(0.2)
    body = {"input": "Dinner is ready.", "voice": "demo", "fallback": "cpu"}
    wav = container.ask(
        "/v1/audio/speech",
        json.dumps({**body, "response_format": "wav"}).encode(),
        {"Authorization": f"Bearer {token}"},
    )
    samples, rate = soundfile.read(io.BytesIO(wav))
    assert len(samples) / rate > 0.5
    assert np.sqrt(np.mean(samples**2)) > 0.01
    assert container.stop() == 0
