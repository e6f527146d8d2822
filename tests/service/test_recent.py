"""What the page's live part is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from service.recent import MOST, Recent, RecentAnswer
from tests.service.conftest import RunningService, StartService, eventually

SECRET = "The present for Grandma is in the cellar."
LEFT = {"voice": None, "rung": None, "model": None, "first_audio": None, "seconds": 0.0}


async def get(service: RunningService, path: str) -> Any:
    async with service.session.get(service.url + path) as response:
        assert response.status == 200
        return await response.json()


async def say(service: RunningService, text: str, request_id: str, **fields: object) -> int:
    body = {"input": text, "response_format": "pcm", **fields}
    headers = {"X-Request-Id": request_id}
    address = f"{service.url}/v1/audio/speech"
    async with service.session.post(address, json=body, headers=headers) as response:
        await response.read()
        return response.status


async def answers(service: RunningService, count: int) -> list[dict[str, Any]]:
    """The latest answers, once there are so many."""
    async with asyncio.timeout(60):
        while len(found := (await get(service, "/v1/recent"))["answers"]) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return list(found)


def answer(number: int, door: str = "http") -> RecentAnswer:
    return RecentAnswer(str(number), "", door, "done", "plain", "plain", None, 1, 1.0, SECRET)


async def test_an_answer_is_remembered_without_its_text(start_service: StartService) -> None:
    service = await start_service()
    assert (await get(service, "/v1/recent"))["answers"] == [], "the self-test is nobody's news"
    before = datetime.now(UTC).replace(microsecond=0)
    assert await say(service, SECRET, "first") == 200
    [said] = await answers(service, 1)
    assert before <= datetime.fromisoformat(said.pop("time")) <= datetime.now(UTC)
    assert 0 <= said.pop("first_audio") < 60_000
    assert said == {
        "id": "first",
        "door": "http",
        "outcome": "done",
        "voice": "plain",
        "rung": "fake",
        "model": None,
        "seconds": 0.4,
    }


async def test_failures_are_remembered_and_the_latest_comes_first(
    start_service: StartService,
) -> None:
    service = await start_service()
    assert await say(service, "Hello.", "unknown", voice=SECRET) == 404
    assert await say(service, "FAIL", "failing") == 500
    failing, unknown = await answers(service, 2)
    assert (failing["id"], failing["outcome"], failing["voice"]) == (
        "failing",
        "synthesis_failed",
        "plain",
    )
    unknown.pop("time")
    assert unknown == {"id": "unknown", "door": "http", "outcome": "voice_not_found", **LEFT}


async def test_the_text_is_told_only_where_it_is_logged(start_service: StartService) -> None:
    service = await start_service(log_text=True)
    await say(service, f"{SECRET} Good night.", "first")
    assert [each["text"] for each in await answers(service, 1)] == [f"{SECRET} Good night."]


def test_only_so_many_are_kept_and_what_nobody_hears_is_not() -> None:
    recent = Recent()
    for number in range(MOST + 5):
        recent.add(answer(number))
        recent.add(answer(number, "prerender"))
    told = recent.as_dict()
    assert [each["id"] for each in told["answers"]] == [str(n) for n in range(54, 4, -1)]
    assert told["count"] == recent.count == 55
    assert SECRET not in str(told)


async def test_now_tells_who_is_spoken_and_what_is_down(start_service: StartService) -> None:
    service = await start_service()
    service.synthesizer.gate.clear()
    asked = asyncio.create_task(say(service, "Hello.", "now"))
    await eventually(service.synthesizer.waiting.is_set)
    now = await get(service, "/v1/live")
    queue = now["queue"]
    assert queue["speaking"].pop("seconds") >= 0
    assert queue["speaking"] == {"id": "now", "voice": "plain", "door": "http"}
    assert (queue["depth"], queue["limit"]) == (1, service.health.queue.limit)
    assert [rung["up"] for rung in now["rungs"]] == [True]
    service.synthesizer.gate.set()
    assert await asked == 200
    await say(service, "FAIL", "failing")
    await answers(service, 2)
    now = await get(service, "/v1/live")
    assert now["queue"]["speaking"] is None
    assert now["answers"] == 2
    [rung] = now["rungs"]
    assert not rung["up"]
    assert rung["reason"].startswith("failed: ")
    assert rung["since"] >= 0


@pytest.mark.parametrize("path", ["/v1/recent", "/v1/live"])
async def test_it_is_for_the_house_only(start_service: StartService, path: str) -> None:
    service = await start_service(token="secret")
    async with service.session.get(service.url + path) as response:
        assert response.status == 401
