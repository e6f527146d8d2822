"""Further references of a voice: kept, spoken, deleted for good."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from service.voice import NameTaken, StyleNotFound, TooManyStyles, VoiceFixed
from service.voice_folder import FACTS, REFERENCE, style_file
from tests.service.conftest import StartService
from tests.service.recordings import SAID, silence, spoken, wav
from tests.service.test_voices import HAPPY, MUM, OTHER_TONE, TONE, Home, home
from tests.service.test_voices_api import ask, kept, named, send

__all__ = ["home"]
WONDERFUL = "How wonderful, they are all coming home for dinner tonight!"
STYLES = "/v1/voices/mum/styles"


def enrolled(folder: Path, *styles: str) -> None:
    """Mum, with styles of these names, in a data folder whose service does not run yet."""
    store = Home(folder / "voices").open()
    store.enrol(replace(MUM, transcript=SAID), TONE)
    for style in styles:
        store.add_style("mum", replace(HAPPY, name=style), OTHER_TONE)


def test_a_style_survives_a_restart_and_changes_the_sound(home: Home) -> None:
    store = home.open()
    before = store.enrol(MUM, TONE)
    made = store.add_style("mum", HAPPY, OTHER_TONE)
    assert (before.styles, made.styles) == ((), ("happy",))
    assert made.revision != before.revision
    again = home.open()
    assert again.get("mum") == made
    assert again.reference("mum", "happy") != again.reference("mum")
    assert len(again.reference("mum", "happy")) == 2 * len(OTHER_TONE.samples) + 44
    files = {path.name for path in (home.folder / "mum").iterdir()}
    assert files == {FACTS, REFERENCE, style_file("happy")}
    assert store.delete_style("mum", "happy").revision == before.revision


def test_prompts_are_kept_for_every_style_and_go_with_it(home: Home) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    store.add_style("mum", HAPPY, OTHER_TONE)
    voice = store.add_style("mum", replace(HAPPY, name="sad"), TONE)
    for style in (None, "happy", "sad"):
        assert store.keep_prompt(voice, "model", str(style).encode(), style)
    left = store.delete_style("mum", "happy")
    prompts = {style: store.prompt(left, "model", style) for style in (None, "happy", "sad")}
    assert prompts["happy"] is None
    assert [prompts[name].read_bytes() for name in (None, "sad")] == [b"None", b"sad"]
    files = {path.name for path in (home.folder / "mum").iterdir()}
    assert not [name for name in files if name.startswith(style_file("happy")[:-4])]
    assert home.forgotten[-1] == "mum"


@pytest.mark.parametrize("name", ["Mother", "Mum"])
def test_a_voice_that_is_changed_keeps_its_styles(home: Home, name: str) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    store.add_style("mum", HAPPY, OTHER_TONE)
    heard = store.reference("mum", "happy")
    store.change("mum", replace(MUM, name=name, transcript="Lunch is ready."))
    store.rerecord("mum", replace(MUM, name=name), OTHER_TONE)
    assert home.open().get("mum").styles == ("happy",)
    assert home.open().reference("mum", "happy") == heard


def test_what_cannot_be_a_style_is_refused(home: Home) -> None:
    store = home.open()
    store.enrol(MUM, TONE)
    for number in range(8):
        store.add_style("mum", replace(HAPPY, name=f"style {number}"), TONE)
    with pytest.raises(TooManyStyles):
        store.add_style("mum", HAPPY, TONE)
    with pytest.raises(NameTaken):
        store.add_style("mum", replace(HAPPY, name="style 3"), TONE)
    with pytest.raises(StyleNotFound, match="its styles: style 0, style 1"):
        store.delete_style("mum", "happy")
    with pytest.raises(VoiceFixed):
        store.add_style("plain", HAPPY, TONE)


async def test_a_style_is_added_listed_and_heard(
    start_service: StartService, tmp_path: Path
) -> None:
    enrolled(tmp_path)
    service = await start_service()
    happy = wav(spoken(WONDERFUL))
    status, made = await send(service, happy, STYLES, name="Happy", transcript=WONDERFUL)
    assert status == 201
    assert made["styles"] == ["happy"]
    assert made["verdict"]["accepted"]
    _, answer = await ask(service, "GET", STYLES)
    (style,) = answer["styles"]
    assert (style["name"], style["language"]) == ("happy", "en")
    assert style["consent"]["who"] == "Anna"
    _, voices = await ask(service, "GET", "/v1/voices")
    assert [voice["styles"] for voice in voices["voices"]] == [[], ["happy"]]
    async with service.session.get(f"{service.url}{STYLES}/HAPPY/reference") as response:
        samples, rate = soundfile.read(io.BytesIO(await response.read()))
    assert len(samples) / rate == pytest.approx(made["verdict"]["seconds"], abs=0.02)


async def test_a_request_speaks_in_a_style_or_learns_which_there_are(
    start_service: StartService, tmp_path: Path
) -> None:
    enrolled(tmp_path, "开心 1")
    service = await start_service()
    async with service.post(input="Hello.", voice="mum", style="开心 1") as response:
        assert response.status == 200
    async with service.post(input="Hello.", voice="mum", style="angry") as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["limit"]) == (404, "style_not_found", ["开心 1"])
    assert "mum has no style 'angry'; its styles: 开心 1" in error["message"]
    assert [each.style for each in service.synthesizer.said] == ["开心 1"]


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"name": None}, 400, "name"),
        ({"name": "a/b"}, 400, "name"),
        ({"name": "../x"}, 400, "name"),
        ({"name": "a" * 31}, 400, "name"),
        ({"consent": None}, 400, "consent"),
        ({"consent_name": None}, 400, "consent_name"),
        ({"transcript": None}, 400, "transcript"),
        ({"language": "xx"}, 400, "language"),
    ],
)
async def test_a_style_needs_what_a_voice_needs(
    start_service: StartService,
    tmp_path: Path,
    fields: dict[str, str | None],
    status: int,
    param: str,
) -> None:
    enrolled(tmp_path)
    service = await start_service()
    answer, body = await send(service, wav(spoken()), STYLES, **{"name": "happy", **fields})
    assert (answer, body["error"]["param"]) == (status, param)
    assert (await ask(service, "GET", STYLES))[1] == {"styles": []}


async def test_a_recording_that_is_no_good_is_refused(
    start_service: StartService, tmp_path: Path
) -> None:
    enrolled(tmp_path)
    service = await start_service()
    status, body = await send(service, wav(silence(5)), STYLES, name="happy")
    assert (status, body["error"]["code"]) == (422, "recording_refused")
    assert (await send(service, wav(spoken()), "/v1/voices/dad/styles", name="happy"))[0] == 404
    assert (await send(service, wav(spoken()), "/v1/voices/plain/styles", name="happy"))[0] == 409


async def test_nothing_is_left_of_a_deleted_style_nor_of_its_voice(
    start_service: StartService, tmp_path: Path
) -> None:
    enrolled(tmp_path, "happy", "sad")
    service = await start_service()
    assert (await ask(service, "DELETE", f"{STYLES}/Happy"))[0] == 204
    assert (await ask(service, "DELETE", f"{STYLES}/happy"))[0] == 404
    assert named(tmp_path, style_file("happy")) == []
    assert len(named(tmp_path, style_file("sad"))) == 1
    assert SAID in (tmp_path / "voices" / "mum" / FACTS).read_text()
    assert (await ask(service, "DELETE", "/v1/voices/mum"))[0] == 204
    assert kept(tmp_path) == {".lock"}
