from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.service.conftest import FakeSynthesizer, RunningService, StartService

TEXTS = ["Dinner is ready.", "Good night everybody.", "FAIL", "..."]


async def prerender(service: RunningService, **fields: object) -> tuple[int, dict[str, Any]]:
    async with service.session.post(f"{service.url}/v1/prerender", json=fields) as response:
        return response.status, await response.json()


async def finished(service: RunningService, batch: str) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while True:
            async with service.session.get(f"{service.url}/v1/prerender/{batch}") as response:
                state: dict[str, Any] = await response.json()
            if state["finished"]:
                return state
            await asyncio.sleep(0.01)


async def test_what_was_prerendered_comes_from_the_cache(start_service: StartService) -> None:
    service = await start_service()
    status, batch = await prerender(service, texts=TEXTS)
    assert (status, batch["total"], batch["finished"]) == (202, 4, False)
    state = await finished(service, batch["id"])
    assert state["done"] == 2
    assert [(each["index"], each["code"]) for each in state["failed"]] == [
        (2, "synthesis_failed"),
        (3, "bad_text"),
    ]
    for text in TEXTS[:2]:
        async with service.post(input=text) as response:
            assert response.headers["X-Speech-Rung"] == "cache"


async def test_it_waits_for_whoever_is_in_a_hurry(
    start_service: StartService, synthesizer: FakeSynthesizer
) -> None:
    service = await start_service(max_queue=1)
    synthesizer.gate.clear()
    asking = asyncio.create_task(service.post(input="The doorbell rang.").__aenter__())
    await asyncio.to_thread(synthesizer.waiting.wait, 60)
    _, batch = await prerender(service, texts=["Later."])
    await asyncio.sleep(0.05)
    synthesizer.gate.set()
    await (await asking).read()
    state = await finished(service, batch["id"])
    assert (state["done"], state["failed"]) == (1, [])
    assert [each.text for each in synthesizer.said] == ["The doorbell rang.", "Later."]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": ["a"] * 501}, "texts"),
        ({"texts": [1]}, "texts"),
        ({"texts": ["a"], "priority": "alert"}, "priority"),
        ({"texts": ["a"], "input": "b"}, "input"),
    ],
)
async def test_wrong_batches_are_refused(
    start_service: StartService, fields: dict[str, object], param: str
) -> None:
    service = await start_service()
    status, answer = await prerender(service, **fields)
    assert (status, answer["error"]["param"]) == (400, param)


async def test_a_batch_that_never_was_is_not_found(start_service: StartService) -> None:
    service = await start_service()
    async with service.session.get(f"{service.url}/v1/prerender/nothing") as response:
        assert (response.status, (await response.json())["error"]["code"]) == (
            404,
            "batch_not_found",
        )


async def test_what_the_disk_does_not_take_is_not_done(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    service = await start_service()
    monkeypatch.setattr("service.cache.soundfile.write", full)
    _, batch = await prerender(service, texts=["Dinner is ready."])
    state = await finished(service, batch["id"])
    assert (state["done"], [each["code"] for each in state["failed"]]) == (0, ["storage_failed"])
    monkeypatch.undo()
    _, batch = await prerender(service, texts=["Dinner is ready."])
    assert (await finished(service, batch["id"]))["done"] == 1


async def test_what_somebody_else_said_is_not_done(
    start_service: StartService, synthesizer: FakeSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await start_service()
    monkeypatch.setattr(synthesizer, "name", "stand-in")
    _, batch = await prerender(service, texts=["Dinner is ready."])
    state = await finished(service, batch["id"])
    assert (state["done"], [each["code"] for each in state["failed"]]) == (0, ["not_kept"])
