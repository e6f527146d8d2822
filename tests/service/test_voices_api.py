"""The routes of voices, over a real socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import soundfile
from aiohttp import FormData

from service import uploads
from tests.service.conftest import RunningService, StartService
from tests.service.recordings import SAID, as_file, noisy, silence, spoken, story, wav

FIELDS = {
    "name": "Mum",
    "language": "en",
    "transcript": SAID,
    "consent_name": "Anna",
    "consent": "true",
}


def form(data: bytes | None, fields: dict[str, str]) -> FormData:
    made = FormData(default_to_multipart=True)
    for name, value in fields.items():
        made.add_field(name, value)
    for content in [] if data is None else [data]:
        made.add_field("file", content, filename="../../voice.wav", content_type="audio/wav")
    return made


async def send(
    service: RunningService,
    data: bytes | None,
    path: str = "/v1/voices",
    method: str = "POST",
    **fields: str | None,
) -> tuple[int, Any]:
    """Send a recording with the usual fields, others where a test names them, less where None."""
    wanted = {name: value for name, value in {**FIELDS, **fields}.items() if value is not None}
    url = service.url + path
    async with service.session.request(method, url, data=form(data, wanted)) as response:
        return response.status, await response.json()


async def ask(
    service: RunningService, method: str, path: str, body: object = None
) -> tuple[int, Any]:
    async with service.session.request(method, service.url + path, json=body) as response:
        return response.status, await response.json(content_type=None)


async def listed(service: RunningService) -> list[str]:
    return [voice["id"] for voice in (await ask(service, "GET", "/v1/voices"))[1]["voices"]]


def kept(folder: Path) -> set[str]:
    return {path.name for path in (folder / "voices").iterdir()}


def named(folder: Path, part: str) -> list[Path]:
    return [path for path in folder.rglob("*") if part in path.name]


async def test_a_voice_is_enrolled_and_listed_at_once(start_service: StartService) -> None:
    service = await start_service()
    status, made = await send(service, wav(spoken()))
    assert status == 201
    assert (made["id"], made["name"], made["language"]) == ("mum", "Mum", "en")
    assert (made["cloned"], made["usable"], made["transcript"]) == (True, True, SAID)
    assert made["consent"]["who"] == "Anna"
    assert "has agreed" in made["consent"]["statement"]
    assert made["verdict"]["accepted"]
    assert made["seconds"] == pytest.approx(made["verdict"]["seconds"], abs=0.02)
    answer = (await ask(service, "GET", "/v1/voices"))[1]
    assert [voice["id"] for voice in answer["voices"]] == ["plain", "mum"]
    assert answer["voices"][1]["revision"] == made["revision"]
    assert answer["default"] == "plain"
    openai = (await ask(service, "GET", "/v1/audio/voices"))[1]
    assert openai["voices"][1] == {"id": "mum", "name": "Mum"}
    del made["verdict"]
    assert (await ask(service, "GET", "/v1/voices/mum")) == (200, made)


async def test_the_revision_of_all_changes_with_the_houses_pause(
    start_service: StartService,
) -> None:
    services = [await start_service(sentence_pause=pause) for pause in (0.3, 0.5)]
    told = [(await ask(service, "GET", "/v1/voices"))[1] for service in services]
    assert told[0]["revision"] != told[1]["revision"]


async def test_a_voice_without_a_model_is_spoken_by_a_stand_in_and_not_cached(
    start_service: StartService, tmp_path: Path
) -> None:
    service = await start_service()
    await send(service, wav(spoken()))
    for _ in range(2):
        async with service.post(input="Hello.", voice="mum", response_format="wav") as response:
            await response.read()
        assert response.headers["X-Speech-Voice"] == "mum"
        assert response.headers["X-Speech-Rung"] == "fake"
    assert [each.voice for each in service.synthesizer.said] == ["mum", "mum"]
    assert not (tmp_path / "cache" / "mum").exists()


async def test_the_reference_is_heard_again(start_service: StartService) -> None:
    service = await start_service()
    _, made = await send(service, wav(spoken()))
    async with service.session.get(f"{service.url}/v1/voices/mum/reference") as response:
        samples, rate = soundfile.read(io.BytesIO(await response.read()))
    assert response.content_type == "audio/wav"
    assert len(samples) / rate == pytest.approx(made["seconds"], abs=0.01)


async def test_check_only_says_what_it_thinks(start_service: StartService, tmp_path: Path) -> None:
    service = await start_service()
    status, verdict = await check(service, wav(story()))
    assert status == 200
    assert (verdict["accepted"], verdict["findings"][0]["code"]) == (True, "trimmed")
    assert 0 <= verdict["start"] < verdict["end"] <= verdict["start"] + 10
    assert set(verdict["findings"][0]) == {"code", "severity", "message", "measured", "limit"}
    status, verdict = await check(service, wav(silence(5)))
    assert (status, verdict["accepted"]) == (200, False)
    assert kept(tmp_path) == {".lock"}


async def check(service: RunningService, data: bytes) -> tuple[int, Any]:
    url = f"{service.url}/v1/voices/check"
    async with service.session.post(url, data=form(data, {})) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"name": None}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a" * 61}, "name"),
        ({"name": "\u202emum"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"language": "xx"}, "language"),
        ({"language": "../x"}, "language"),
        ({"language": None}, "language"),
        ({"transcript": None}, "transcript"),
        ({"transcript": "\n"}, "transcript"),
        ({"transcript": "a" * 501}, "transcript"),
        ({"transcript": "a" * 5000}, "transcript"),
        ({"consent": None}, "consent"),
        ({"consent": "false"}, "consent"),
        ({"consent": "1"}, "consent"),
        ({"consent_name": None}, "consent_name"),
        ({"consent_name": ""}, "consent_name"),
        ({"colour": "red"}, "colour"),
        ({f"field{n}": "x" for n in range(20)}, "body"),
    ],
)
async def test_wrong_fields_are_named_and_nothing_is_kept(
    start_service: StartService, tmp_path: Path, fields: dict[str, str | None], param: str
) -> None:
    service = await start_service()
    status, answer = await send(service, wav(spoken()), **fields)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (
        400,
        "bad_request",
        param,
    )
    assert answer["error"]["message"].startswith(f"{param}: ")
    assert kept(tmp_path) == {".lock"}


@pytest.mark.parametrize(
    ("data", "fields", "status", "code", "param"),
    [
        (None, {}, 400, "bad_request", "file"),
        (b"", {}, 400, "bad_recording", "file"),
        (b"<html>", {}, 400, "bad_recording", "file"),
        (wav(silence(5)), {}, 422, "recording_refused", "file"),
        (wav(noisy(spoken(), -25)), {}, 422, "recording_refused", "file"),
        (wav(spoken()), {"transcript": "Hi."}, 422, "recording_refused", "transcript"),
        (wav(spoken()), {"name": "plain VOICE"}, 409, "name_taken", "name"),
    ],
)
async def test_what_cannot_become_a_voice_is_refused(
    start_service: StartService,
    tmp_path: Path,
    data: bytes | None,
    fields: dict[str, str],
    status: int,
    code: str,
    param: str,
) -> None:
    service = await start_service()
    answered, answer = await send(service, data, **fields)
    error = answer["error"]
    assert (answered, error["code"], error["param"]) == (status, code, param)
    assert error["message"].startswith(f"{param}: ")
    assert kept(tmp_path) == {".lock"}
    assert await listed(service) == ["plain"]


async def test_a_refusal_says_everything_that_was_found(start_service: StartService) -> None:
    service = await start_service()
    _, answer = await send(service, wav(noisy(spoken(), -25)), transcript="Hi.")
    found = {finding["code"] for finding in answer["verdict"]["findings"]}
    assert {"noisy", "transcript_short"} <= found


async def test_a_rename_keeps_the_id_and_the_sound(start_service: StartService) -> None:
    service = await start_service()
    _, made = await send(service, wav(spoken()))
    status, changed = await ask(service, "PATCH", "/v1/voices/mum", {"name": " Mother  Anna "})
    assert (status, changed["id"], changed["name"]) == (200, "mum", "Mother Anna")
    assert changed["revision"] == made["revision"]
    status, changed = await ask(
        service, "PATCH", "/v1/voices/mum", {"transcript": SAID.replace("five", "six")}
    )
    assert (status, changed["revision"] != made["revision"]) == (200, True)


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"name": ""}, 400, "name"),
        ({"name": 7}, 400, "name"),
        ({"name": "Plain voice"}, 409, "name"),
        ({"transcript": "Hi."}, 400, "transcript"),
        ({"consent": True}, 400, "consent_name"),
        ({"consent_name": "Anna"}, 400, "consent"),
        ({"consent": False, "consent_name": "Anna"}, 400, "consent"),
        ({"id": "dad"}, 400, "id"),
        ([], 400, "body"),
    ],
)
async def test_wrong_changes_are_refused(
    start_service: StartService, body: object, status: int, param: str
) -> None:
    service = await start_service()
    await send(service, wav(spoken()))
    before = await ask(service, "GET", "/v1/voices/mum")
    answered, answer = await ask(service, "PATCH", "/v1/voices/mum", body)
    assert (answered, answer["error"]["param"]) == (status, param)
    assert await ask(service, "GET", "/v1/voices/mum") == before


async def test_a_voice_is_recorded_anew(start_service: StartService) -> None:
    service = await start_service()
    _, made = await send(service, wav(spoken()))
    path = "/v1/voices/mum/reference"
    recording = wav(spoken("Dinner is ready, come down to the kitchen please, all of you."))
    words = {"transcript": "Dinner is ready, come down to the kitchen please, all of you."}
    assert (await send(service, recording, path, "PUT", **words))[1]["error"]["param"] == "name"
    status, changed = await send(service, recording, path, "PUT", name=None, **words)
    assert (status, changed["id"], changed["name"]) == (200, "mum", "Mum")
    assert changed["revision"] != made["revision"]
    status, answer = await send(service, wav(silence(4)), path, "PUT", name=None)
    assert (status, answer["error"]["code"]) == (422, "recording_refused")
    assert (await ask(service, "GET", "/v1/voices/mum"))[1]["revision"] == changed["revision"]


async def test_delete_leaves_nothing(start_service: StartService, tmp_path: Path) -> None:
    service = await start_service()
    await send(service, wav(spoken()))
    async with service.session.post(
        f"{service.url}/v1/clips", json={"input": "Hello.", "voice": "mum"}
    ) as response:
        clip = (await response.json())["url"]
    (tmp_path / "cache" / "mum").mkdir(parents=True)
    (tmp_path / "cache" / "mum" / "said.flac").write_bytes(b"said")
    assert (await ask(service, "DELETE", "/v1/voices/mum"))[0] == 204
    assert (await ask(service, "DELETE", "/v1/voices/mum"))[0] == 404
    assert await listed(service) == ["plain"]
    assert named(tmp_path, "mum") == []
    async with service.session.get(clip) as response:
        assert response.status == 404
    async with service.post(input="Hello.", voice="mum") as response:
        assert (await response.json())["error"]["code"] == "voice_not_found"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/voices/nobody", 404, "voice_not_found"),
        ("GET", "/v1/voices/..%2f..%2ftoken", 404, "voice_not_found"),
        ("GET", "/v1/voices/.lock/reference", 404, "voice_not_found"),
        ("GET", "/v1/voices/%2e%2e/reference", 404, "voice_not_found"),
        ("DELETE", "/v1/voices/plain", 409, "voice_fixed"),
        ("DELETE", "/v1/voices/..%2fclips", 404, "voice_not_found"),
        ("GET", "/v1/voices/plain/reference", 409, "voice_fixed"),
        ("PATCH", "/v1/voices/plain", 409, "voice_fixed"),
    ],
)
async def test_no_path_leads_out_of_the_voices(
    start_service: StartService, method: str, path: str, status: int, code: str
) -> None:
    service = await start_service()
    url = aiohttp.client.URL(service.url + path, encoded=True)
    async with service.session.request(method, url, json={"name": "x"}) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (status, code)


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    """A body whose length no header tells."""
    for start in range(0, len(data), 10_000):
        yield data[start : start + 10_000]


@pytest.mark.parametrize("body_of", [lambda data: data, in_pieces], ids=["length", "chunked"])
async def test_a_large_upload_is_refused(
    start_service: StartService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    body_of: Callable[[bytes], Any],
) -> None:
    monkeypatch.setattr(uploads, "MAX_UPLOAD", 100_000)
    service = await start_service()
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    data = head + wav(spoken()) + b"\r\n--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{service.url}/v1/voices"
    async with service.session.post(url, data=body_of(data), headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["limit"]) == (413, "upload_too_large", 100_000)
    assert kept(tmp_path) == {".lock"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\nabc"),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--",
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 100_000),
        ("multipart/form-data; boundary=x", b"--x\r\nA" + b"b" * 100_000 + b"\r\n\r\n\r\n--x--"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="name"\r\n\r\n\xff\r\n--x--\r\n',
        ),
        (
            "multipart/form-data; boundary=x",
            b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--",
        ),
    ],
)
async def test_a_body_that_is_no_form_is_refused(
    start_service: StartService, content_type: str, body: bytes
) -> None:
    service = await start_service()
    headers = {"Content-Type": content_type}
    url = f"{service.url}/v1/voices"
    async with service.session.post(url, data=body, headers=headers) as response:
        assert (response.status, (await response.json())["error"]["code"]) == (400, "bad_request")


async def test_a_slow_upload_ends_and_others_are_served(
    start_service: StartService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "UPLOAD_SECONDS", 0.3)
    monkeypatch.setattr(uploads, "MAX_AT_A_TIME", 1)
    service = await start_service()
    host, port = service.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/voices HTTP/1.1\r\nHost: {host}\r\nContent-Length: 9999\r\n"
    writer.write(f"{head}Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n".encode())
    await writer.drain()
    await asyncio.sleep(0.1)
    status, answer = await send(service, wav(spoken()))
    assert (status, answer["error"]["code"]) == (503, "too_many_uploads")
    assert b"408" in await reader.readline()
    writer.close()
    assert (await send(service, wav(spoken())))[0] == 201


async def test_recordings_are_taken_at_a_person_s_pace(start_service: StartService) -> None:
    service = await start_service()
    statuses = [(await ask(service, "POST", "/v1/voices/check", {}))[0] for _ in range(22)]
    assert statuses == [400] * 20 + [429] * 2
    async with service.session.post(f"{service.url}/v1/voices") as response:
        assert (response.status, int(response.headers["Retry-After"]) > 200) == (429, True)
    assert (await ask(service, "GET", "/v1/voices"))[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 404),
        ({"Sec-Fetch-Site": "same-origin"}, 404),
        ({"Sec-Fetch-Site": "none"}, 404),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://home.example", "X-Forwarded-Host": "home.example"}, 404),
    ],
)
async def test_another_site_s_page_changes_nothing(
    start_service: StartService, headers: dict[str, str], status: int
) -> None:
    service = await start_service()
    url = f"{service.url}/v1/voices/nobody"
    async with service.session.delete(url, headers=headers) as response:
        assert response.status == status
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/voices"),
        ("POST", "/v1/voices/check"),
        ("GET", "/v1/audio/voices"),
        ("GET", "/v1/voices/mum"),
        ("GET", "/v1/voices/mum/reference"),
        ("PUT", "/v1/voices/mum/reference"),
        ("PATCH", "/v1/voices/mum"),
        ("DELETE", "/v1/voices/mum"),
    ],
)
async def test_voices_need_the_token(start_service: StartService, method: str, path: str) -> None:
    service = await start_service(token="secret")
    async with service.session.request(method, service.url + path) as response:
        assert response.status == 401


async def test_voices_survive_a_restart(start_service: StartService) -> None:
    service = await start_service()
    _, made = await send(service, as_file(spoken().samples, 24_000, "FLAC"))
    again = await start_service()
    assert (await ask(again, "GET", "/v1/voices/mum"))[1]["revision"] == made["revision"]
