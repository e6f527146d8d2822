"""Models over HTTP, with real conversions of small random checkpoints in a real child process."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import aiohttp
import openai
import pytest

from engines.backends import CheckpointFiles
from engines.model_folder import MANIFEST, ModelFolder
from service import model_files, model_uploads
from service.model_files import Place
from service.model_rung import ModelRung
from tests.service.conftest import eventually
from tests.service.model_house import (  # noqa: F401 - fixtures
    StartHouse,
    enrol,
    golden,
    house,
    install,
    tiny_files,
    tiny_model,
)


def form(files: CheckpointFiles, **fields: str) -> aiohttp.FormData:
    body = aiohttp.FormData()
    for name, text in fields.items():
        body.add_field(name, text)
    given = {
        "t2s": files.t2s,
        "sovits": files.sovits,
        "hubert_config": files.hubert / "config.json",
        "hubert": files.hubert / "pytorch_model.bin",
    }
    for name, path in given.items():
        body.add_field(name, path.open("rb"), filename="../../etc/passwd")
    return body


def left(data: Path) -> set[str]:
    """What lies in the folder of the models beside files."""
    return {path.name for path in (data / "models").iterdir() if path.is_dir()}


async def test_an_upload_is_converted_while_the_plain_voice_speaks(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
) -> None:
    enrol(tmp_path)
    home = await house()
    answer = await home.ask("GET", "/v1/models")
    assert (answer[1]["data"], answer[1]["traffic"]["weights"]) == ([], {})
    status, job = await home.ask("POST", "/v1/models", data=form(tiny_files, name="Our model"))
    assert (status, job["source"], job["name"]) == (202, "upload", "Our model")
    assert (await home.say("The plain voice goes on."))[:2] == (200, "plain")
    seen = set()
    async with asyncio.timeout(300):
        while job["state"] not in ("done", "failed"):
            _, job = await home.ask("GET", f"/v1/models/jobs/{job['id']}")
            seen.add((job["stage"], job["percent"]))
            await asyncio.sleep(0.02)
    assert (job["state"], job["error"], job["model"]) == ("done", None, "our-model")
    assert len([percent for stage, percent in seen if stage == "convert"]) > 2
    assert left(tmp_path) == {"our-model", ".base"}
    ModelFolder.read(tmp_path / "models" / "our-model").check_hashes()
    await eventually(lambda: home.fleet.state("our-model")[0] == "ready")
    assert await home.say("Now the model.") == (200, "onnxruntime", "our-model")
    # What all models share came with the first: the second needs two files only.
    body = aiohttp.FormData()
    body.add_field("t2s", tiny_files.t2s.open("rb"), filename="x")
    body.add_field("sovits", b"PK but nothing else", filename="x")
    _, job = await home.ask("POST", "/v1/models", data=body)
    job = await home.ended(job)
    assert (job["state"], job["error"]["code"]) == ("failed", "bad_checkpoint")
    assert job["error"]["message"].startswith("sovits.pth")
    assert left(tmp_path) == {"our-model", ".base"}
    assert await home.say("Still the model.") == (200, "onnxruntime", "our-model")


async def test_a_folder_of_the_incoming_ones_is_installed(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    incoming = tmp_path / "incoming"
    shutil.copytree(tiny_model, incoming / "ours")
    shutil.copytree(tiny_model, incoming / "damaged")
    weights = incoming / "damaged" / "weights.bin"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    (incoming / "empty").mkdir()
    (incoming / "link").symlink_to(tmp_path)
    home = await house()
    _, answer = await home.ask("GET", "/v1/models")
    assert answer["incoming"] == ["damaged", "empty", "ours"]
    for folder, why in [
        ("../models", "no folder"),
        ("link", "no folder"),
        ("/etc", "no folder"),
        ("empty", "one .ckpt"),
    ]:
        body = {"source": "folder", "folder": folder}
        status, refused = await home.ask("POST", "/v1/models", json=body)
        assert (status, refused["error"]["param"]) == (400, "folder")
        assert why in refused["error"]["message"]
    _, job = await home.ask("POST", "/v1/models", json={"source": "folder", "folder": "ours"})
    assert (await home.ended(job))["model"] == "ours"
    _, job = await home.ask("POST", "/v1/models", json={"source": "folder", "folder": "damaged"})
    failed = (await home.ended(job))["error"]
    assert (failed["code"], "weights.bin is damaged" in failed["message"]) == (
        "bad_checkpoint",
        True,
    )
    assert left(tmp_path) == {"ours"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"t2s": b"x"}, "sovits"),
        ({"t2s": b"x", "sovits": b"y", "path": b"z"}, "path"),
        ({"t2s": b"", "sovits": b"y"}, "t2s"),
        ({"t2s": b"x", "sovits": b"y", "precision": b"fp4"}, "precision"),
        ({"t2s": b"x", "sovits": b"y", "name": b" "}, "name"),
        ({"t2s": b"x" * 3000, "sovits": b"y"}, "t2s"),
    ],
)
async def test_a_form_that_is_wrong_leaves_nothing(
    house: StartHouse,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, bytes],
    param: str,
) -> None:
    monkeypatch.setitem(model_files.UPLOADS, "t2s", Place("t2s.ckpt", 2000))
    home = await house()
    body = aiohttp.FormData()
    for name, value in fields.items():
        body.add_field(name, value, filename="x", content_type="application/octet-stream")
    status, refused = await home.ask("POST", "/v1/models", data=body)
    assert status in (400, 413)
    assert refused["error"]["param"] == param
    assert left(tmp_path) == set()


async def test_a_full_disk_is_told_with_the_files_name(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    home = await house()
    monkeypatch.setattr(model_uploads, "_sync", full)
    status, refused = await home.ask("POST", "/v1/models", data=form(tiny_files))
    assert (status, refused["error"]["code"]) == (507, "storage_failed")
    assert "t2s.ckpt" in refused["error"]["message"]
    assert left(tmp_path) == set()


async def test_half_an_upload_is_cleared_away(
    house: StartHouse,  # noqa: F811
    tmp_path: Path,
) -> None:
    home = await house()
    host, port = home.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        "POST /v1/models HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="t2s"; filename="x"\r\n\r\n'
    )
    writer.write(head.encode() + b"x" * 200_000)
    await writer.drain()
    await eventually(lambda: any((tmp_path / "models").glob(".work-*/t2s.ckpt")))
    writer.close()
    await eventually(lambda: left(tmp_path) == set())
    assert (await home.ask("GET", "/v1/models/jobs"))[1]["jobs"][0]["state"] in (
        "cancelled",
        "failed",
    )


async def test_a_conversion_is_cancelled(
    house: StartHouse,  # noqa: F811
    tiny_files: CheckpointFiles,  # noqa: F811
    tmp_path: Path,
) -> None:
    home = await house()
    _, job = await home.ask("POST", "/v1/models", data=form(tiny_files))
    status, job = await home.ask("DELETE", f"/v1/models/jobs/{job['id']}")
    assert (status, job["state"]) == (200, "cancelled")
    assert left(tmp_path) == set()
    assert (await home.ask("DELETE", f"/v1/models/jobs/{job['id']}"))[0] == 200
    assert (await home.ask("GET", f"/v1/models/jobs/{job['id']}"))[0] == 404


async def test_promoting_drops_no_request(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    enrol(tmp_path)
    home = await house(model="old", cache_mb=0, max_queue=100, max_wait=3600)
    await home.say("Make the prompt.")
    heard: Counter[tuple[int, str, str]] = Counter()
    stop = asyncio.Event()

    async def talk(number: int) -> None:
        while not stop.is_set():
            heard[await home.say(f"Sentence {number}. And another one.")] += 1

    talkers = [asyncio.create_task(talk(number)) for number in range(3)]
    old, new = (200, "onnxruntime", "old"), (200, "onnxruntime", "new")
    await eventually(lambda: heard[old] >= 2)
    status, traffic = await home.ask("POST", "/v1/models/new/promote")
    assert (status, traffic["weights"]) == (200, {"new": 1.0})
    await eventually(lambda: heard[new] >= 3)
    before = heard[old]
    status, traffic = await home.ask("POST", "/v1/models/new/rollback")
    assert (status, traffic["weights"]) == (200, {"old": 1.0})
    await eventually(lambda: heard[old] >= before + 3)
    stop.set()
    await asyncio.gather(*talkers)
    assert heard.keys() == {old, new}, "every request was answered by one model, whole"


async def test_a_model_that_cannot_be_loaded_is_not_promoted(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    graph = tmp_path / "models" / "new" / "t2s_decode.onnx"
    graph.write_bytes(b"x" * graph.stat().st_size)
    enrol(tmp_path)
    home = await house(model="old")
    status, refused = await home.ask("POST", "/v1/models/new/promote")
    assert (status, refused["error"]["code"]) == (409, "model_unusable")
    assert "t2s_decode.onnx" in refused["error"]["message"]
    body = {"weights": {"old": 90, "new": 10}}
    assert (await home.ask("PUT", "/v1/models/traffic", json=body))[0] == 409
    assert (await home.ask("GET", "/v1/models/traffic"))[1]["weights"] == {"old": 1}
    assert (await home.ask("GET", "/v1/models/new"))[1]["state"] == "failed"
    assert await home.say("One.") == (200, "onnxruntime", "old")
    assert await home.say("Two.", model="new") == (200, "onnxruntime", "old")


async def test_traffic_is_shared_and_a_request_may_name_its_model(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    enrol(tmp_path)
    home = await house(model="old")
    assert (await home.say("One.", model="new"))[2] == "new"
    assert (await home.say("Two.", model="tts-1"))[2] == "old"
    status, refused = await home.ask(
        "POST", "/v1/audio/speech", json={"input": "Three.", "model": "other"}
    )
    assert (status, refused["error"]["code"]) == (404, "model_not_found")
    body = {"weights": {"old": 1, "new": 1}, "sticky": "request"}
    status, traffic = await home.ask("PUT", "/v1/models/traffic", json=body)
    assert (status, traffic["sticky"]) == (200, "request")
    models = {(await home.say(f"Sentence {number}."))[2] for number in range(16)}
    assert models == {"old", "new"}
    status, changed = await home.ask("PATCH", "/v1/voices/mum", json={"model": "new"})
    assert (status, changed["model"]) == (200, "new")
    assert {(await home.say(f"Again {number}."))[2] for number in range(6)} == {"new"}
    assert (await home.ask("PATCH", "/v1/voices/mum", json={"model": "other"}))[0] == 404
    assert (await home.ask("PATCH", "/v1/voices/mum", json={"model": None}))[1]["model"] is None
    async with home.session.get(f"{home.url}/metrics") as response:
        metrics = await response.text()
    assert 'speech_model_answers_total{model="new"}' in metrics
    assert 'speech_model_share{model="old"} 0.5' in metrics
    for wrong in ({"old": -1}, {"old": True}, {"old": "x"}, []):
        status, refused = await home.ask("PUT", "/v1/models/traffic", json={"weights": wrong})
        assert (status, refused["error"]["param"]) == (400, "weights")


async def test_the_same_sentence_is_kept_for_each_model(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    manifest = tmp_path / "models" / "new" / MANIFEST
    text = manifest.read_text()
    identity = ModelFolder.read(tiny_model).model.identity
    enrol(tmp_path)
    manifest.write_text(text.replace(identity, identity[::-1]))
    home = await house(model="old")
    assert (await home.say("Dinner."))[1] == "onnxruntime"
    assert (await home.say("Dinner."))[1] == "cache"
    before = (await home.ask("GET", "/v1/voices/mum"))[1]["revision"]
    await home.ask("PUT", "/v1/models/traffic", json={"weights": {"new": 1}})
    assert (await home.ask("GET", "/v1/voices/mum"))[1]["revision"] != before


async def test_a_broken_canary_is_stood_in_for_by_the_other_model(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    enrol(tmp_path)
    home = await house(model="old")
    whole = ModelRung._speak

    def broken(rung: ModelRung, *arguments: object) -> object:
        return iter([1 / 0]) if rung.model_id == "new" else whole(rung, *arguments)  # type: ignore[arg-type]

    await home.ask(
        "PUT", "/v1/models/traffic", json={"weights": {"old": 1, "new": 1}, "sticky": "request"}
    )
    monkeypatch.setattr(ModelRung, "_speak", broken)
    heard = {await home.say(f"Sentence {number}.") for number in range(16)}
    assert heard == {(200, "onnxruntime", "old")}
    models = await home.listed()
    assert (models["new"]["state"], models["old"]["state"]) == ("failed", "ready")
    assert "ZeroDivisionError" in str(models["new"]["reason"]) or models["new"]["reason"]


async def test_deleting_frees_and_is_refused_where_it_would_silence(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "old", "new")
    enrol(tmp_path)
    home = await house(model="")
    await home.ask("PUT", "/v1/models/traffic", json={"weights": {"old": 1}})
    status, refused = await home.ask("DELETE", "/v1/models/old")
    assert (status, refused["error"]["code"]) == (409, "model_in_use")
    assert (await home.ask("DELETE", "/v1/models/new"))[0] == 204
    assert left(tmp_path) == {"old"}
    assert (await home.ask("DELETE", "/v1/models/old?last=true"))[0] == 204
    assert left(tmp_path) == set()
    assert (await home.say("Goodbye."))[:2] == (200, "plain")
    assert (await home.ask("GET", "/v1/models/old"))[0] == 404


async def test_pages_of_others_and_strangers_are_refused(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    install(tmp_path, tiny_model, "ours")
    home = await house(token="secret")
    own = {"Authorization": "Bearer secret"}
    foreign = {**own, "Sec-Fetch-Site": "cross-site"}
    routes = [
        ("POST", "/v1/models"),
        ("PUT", "/v1/models/traffic"),
        ("DELETE", "/v1/models/ours"),
        ("POST", "/v1/models/ours/promote"),
        ("POST", "/v1/models/ours/rollback"),
        ("POST", "/v1/models/ours/unload"),
        ("DELETE", "/v1/models/jobs/x"),
    ]
    for method, path in routes:
        assert (await home.ask(method, path, json={}))[0] == 401
        status, refused = await home.ask(method, path, json={}, headers=foreign)
        assert (status, refused["error"]["code"]) == (403, "foreign_page")
    assert (await home.ask("GET", "/v1/models"))[0] == 401
    async with openai.AsyncOpenAI(base_url=f"{home.url}/v1", api_key="secret") as client:
        assert [model.id async for model in client.models.list()] == ["ours"]


async def test_memory_holds_so_many_and_lets_go_of_the_idle(
    house: StartHouse,  # noqa: F811
    tiny_model: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    install(tmp_path, tiny_model, "a", "b", "c")
    enrol(tmp_path)
    home = await house(model="a", models_in_memory=2, unload_after=10, cache_mb=0)

    async def states() -> str:
        models = await home.listed()
        return "".join(name for name in "abc" if models[name]["state"] == "ready")

    assert await states() == "a"
    assert (await home.say("One.", model="b"))[2] == "b"
    assert await states() == "ab"
    assert (await home.say("Two.", model="a"))[2] == "a"
    assert (await home.say("Three.", model="c"))[2] == "c"
    assert await states() == "ac"
    assert (await home.ask("POST", "/v1/models/c/unload"))[1]["state"] == "unloaded"
    later = home.fleet._rungs["a"][0].used + 601
    monkeypatch.setattr("service.model_fleet.monotonic", lambda: later)
    await asyncio.to_thread(home.fleet.look)
    monkeypatch.undo()
    assert await states() == ""
    assert (await home.ask("GET", "/health"))[1]["rung"] == "onnxruntime"
    assert await home.say("Four.") == (200, "onnxruntime", "a")
