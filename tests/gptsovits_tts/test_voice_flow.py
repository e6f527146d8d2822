"""Voices as subentries: the flow, and the entities that come of it."""

from typing import Any

import pytest
from fake_service import FakeService
from homeassistant.components import tts
from homeassistant.config_entries import SOURCE_RECONFIGURE, ConfigSubentry, SubentryFlowResult
from homeassistant.core import HomeAssistant
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from pytest_homeassistant_custom_component.common import MockConfigEntry

HAPPY_MUM: dict[str, Any] = {
    "voice": "mum",
    "language": "zh",
    "style": "happy",
    "speed": 1.1,
    "pause": 0.4,
    "lead_in": 0.2,
    "model": "family",
    "normalize": "exact",
    "sampling": {"seed": 7.0, "top_k": 15.0, "temperature": 0.8},
}
KEPT = {
    **{key: value for key, value in HAPPY_MUM.items() if key != "sampling"},
    **{"seed": 7, "top_k": 15, "temperature": 0.8},
}


async def _begin(hass: HomeAssistant, entry: MockConfigEntry) -> SubentryFlowResult:
    return await hass.config_entries.subentries.async_init(
        (entry.entry_id, "voice"), context={"source": "user"}
    )


async def _submit(
    hass: HomeAssistant, shown: SubentryFlowResult, fields: dict[str, Any]
) -> SubentryFlowResult:
    result = await hass.config_entries.subentries.async_configure(shown["flow_id"], fields)
    await hass.async_block_till_done()
    return result


async def _add(hass: HomeAssistant, entry: MockConfigEntry, fields: dict[str, Any]) -> str:
    shown = await _begin(hass, entry)
    assert shown["step_id"] == "user"
    result = await _submit(hass, shown, fields)
    assert result["type"] is FlowResultType.CREATE_ENTRY
    return result["title"]


def _only(entry: MockConfigEntry) -> ConfigSubentry:
    [subentry] = entry.subentries.values()
    return subentry


async def test_a_voice_becomes_an_entity_and_a_device(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    entity_registry: er.EntityRegistry,
    device_registry: dr.DeviceRegistry,
) -> None:
    assert await _add(hass, loaded, HAPPY_MUM) == "Mum (happy)"
    subentry = _only(loaded)
    assert dict(subentry.data) == KEPT
    registered = entity_registry.async_get("tts.mum_happy")
    assert registered.unique_id == registered.config_subentry_id == subentry.subentry_id
    device = device_registry.async_get(registered.device_id)
    assert device.name == "Mum (happy)"
    entity = hass.data[tts.const.DATA_COMPONENT].get_entity("tts.mum_happy")
    assert entity.default_language == "zh"
    assert set(entity.supported_languages) >= {"en", "en-GB", "zh", "zh-CN"}
    assert [each.voice_id for each in entity.async_get_supported_voices("en")] == ["mum"]
    options = dict(entity.default_options)
    assert options.pop("revision")
    assert options == {key: value for key, value in KEPT.items() if key != "language"}


async def test_home_assistant_speaks_with_the_entity_of_a_voice(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    await _add(hass, loaded, {"voice": "mum", "sampling": {}})
    stream = tts.async_create_stream(hass, "tts.mum", "en", {"preferred_format": "wav"})
    stream.async_set_message("Dinner is ready.")
    sound = b"".join([chunk async for chunk in stream.async_stream_result()])
    assert sound.startswith(b"RIFF")


async def test_the_smallest_voice_is_only_a_voice(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    assert await _add(hass, loaded, {"voice": "mum", "sampling": {}}) == "Mum"
    assert dict(_only(loaded).data) == {"voice": "mum"}


async def test_the_form_offers_what_the_service_has(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    shown = await _begin(hass, loaded)
    offered = {
        str(key): field.config["options"]
        for key, field in shown["data_schema"].schema.items()
        if str(key) in ("voice", "language", "style", "model", "normalize")
    }
    assert offered == {
        "voice": [{"value": "mum", "label": "Mum"}, {"value": "plain", "label": "Plain voice"}],
        "language": ["en", "zh"],
        "style": ["happy"],
        "model": ["family", "office"],
        "normalize": ["speakable", "exact"],
    }


@pytest.mark.parametrize(
    ("wrong", "errors"),
    [
        ({"voice": "plain"}, {"style": "style_unknown"}),
        ({"language": "de"}, {"language": "language_unknown"}),
        ({"sampling": {"seed": 7.5}}, {"base": "not_whole"}),
        ({"sampling": {"top_k": 1.5}}, {"base": "not_whole"}),
    ],
)
async def test_what_a_voice_cannot_do_is_named_and_can_be_mended(
    hass: HomeAssistant, loaded: MockConfigEntry, wrong: dict[str, Any], errors: dict[str, str]
) -> None:
    again = await _submit(hass, await _begin(hass, loaded), HAPPY_MUM | wrong)
    assert again["errors"] == errors
    result = await _submit(hass, again, HAPPY_MUM)
    assert result["type"] is FlowResultType.CREATE_ENTRY


async def test_a_voice_that_goes_while_the_form_is_open_is_named(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    shown = await _begin(hass, loaded)
    service.voices["voices"].pop(0)
    await loaded.runtime_data.async_refresh()
    again = await _submit(hass, shown, HAPPY_MUM)
    assert again["errors"] == {"voice": "voice_gone"}


async def test_the_same_manner_is_added_once(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    await _add(hass, loaded, HAPPY_MUM)
    result = await _submit(hass, await _begin(hass, loaded), HAPPY_MUM)
    assert result["reason"] == "already_configured"


async def test_a_voice_is_changed(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    await _add(hass, loaded, HAPPY_MUM)
    before = hass.data[tts.const.DATA_COMPONENT].get_entity("tts.mum_happy").default_options
    context = {"source": SOURCE_RECONFIGURE, "subentry_id": _only(loaded).subentry_id}
    begun = hass.config_entries.subentries.async_init
    shown = await begun((loaded.entry_id, "voice"), context=context)
    assert shown["step_id"] == "reconfigure"
    result = await _submit(hass, shown, {"voice": "mum", "speed": 0.9, "sampling": {}})
    assert result["reason"] == "reconfigure_successful"
    assert _only(loaded).title == "Mum"
    after = hass.data[tts.const.DATA_COMPONENT].get_entity("tts.mum_happy").default_options
    assert before["speed"] == 1.1
    assert dict(after) == {"voice": "mum", "speed": 0.9, "revision": before["revision"]}


async def test_a_voice_is_added_only_while_the_service_answers(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    service.status = 503
    assert (await _begin(hass, loaded))["reason"] == "cannot_connect"
    await hass.config_entries.async_unload(loaded.entry_id)
    assert (await _begin(hass, loaded))["reason"] == "entry_not_loaded"


async def test_an_older_service_has_no_models(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    service.models = None
    assert (await _begin(hass, loaded))["reason"] == "cannot_connect"
    service.without_models = True
    shown = await _begin(hass, loaded)
    assert shown["type"] is FlowResultType.FORM


async def test_only_a_change_of_its_own_voice_changes_an_entitys_revision(
    hass: HomeAssistant, service: FakeService, loaded: MockConfigEntry
) -> None:
    await _add(hass, loaded, {"voice": "mum", "sampling": {}})
    entity = hass.data[tts.const.DATA_COMPONENT].get_entity("tts.mum")
    first = entity.default_options["revision"]
    service.voices["voices"][1]["revision"] = "b2"
    await loaded.runtime_data.async_refresh()
    assert entity.default_options["revision"] == first
    service.voices["voices"][0]["revision"] = "a2"
    await loaded.runtime_data.async_refresh()
    assert entity.default_options["revision"] != first
