"""What a family has set up after the first evening, for pictures of it."""

import asyncio

import aiohttp

from tests.lab.full_house import OTHER_TTS, READY, SPEAKER, TTS, FullHouse
from tests.service.recordings import SAID, spoken, wav

WASHER = "sensor.washing_machine_power"


def furnish(house: FullHouse) -> None:
    """Finish onboarding; add voices, a voice's entity, an automation, a blueprint's, an Assist."""
    _finish_onboarding(house)
    home = house.home
    for name in ("Grandma", "Mum"):
        enrol(house, name)
    known = lambda: len(home.ask("tts/engine/voices", engine_id=TTS, language="en")["voices"])  # noqa: E731
    house.until("voices", lambda: known() == 3, refresh=READY)
    manner = {"voice": "grandma", "speed": 0.9, "sampling": {}}
    home.walk("subentries/flow", [house.entry, "voice"], manner)
    home.walk("options/flow", house.entry, {"fallback_entity": OTHER_TTS})
    home.ask("config/entity_registry/update", entity_id=SPEAKER, name="Kitchen")
    washer = {"friendly_name": "Washing machine power", "device_class": "power"}
    washer["unit_of_measurement"] = "W"
    home.post(f"/api/states/{WASHER}", {"state": "3", "attributes": washer})
    for name, automation in AUTOMATIONS.items():
        home.post(f"/api/config/automation/config/{name}", automation)
    make_pipeline(house, "conversation.home_assistant")


def enrol(house: FullHouse, name: str) -> None:
    """Make a voice at the service itself, as its page does."""

    async def post() -> None:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("file", wav(spoken()), filename="voice.wav")
        fields = {"name": name, "language": "en", "transcript": SAID, "consent": "true"}
        for key, value in {**fields, "consent_name": name}.items():
            form.add_field(key, value)
        headers = {"Authorization": f"Bearer {house.token}"}
        async with (
            aiohttp.ClientSession(raise_for_status=True) as http,
            http.post(f"{house.service.url}/v1/voices", data=form, headers=headers),
        ):
            pass

    asyncio.run(post())


def make_pipeline(house: FullHouse, agent: str) -> str:
    """An Assist that asks `agent` and speaks by the service's entity; returns its id."""
    made = house.home.ask(
        "assist_pipeline/pipeline/create",
        name="Family",
        language="en",
        conversation_engine=agent,
        conversation_language="*" if agent != "conversation.home_assistant" else "en",
        tts_engine=TTS,
        tts_language="en",
        tts_voice=None,
        stt_engine=None,
        stt_language=None,
        wake_word_entity=None,
        wake_word_id=None,
    )
    return str(made["id"])


def _finish_onboarding(house: FullHouse) -> None:
    """Home Assistant shows no page before; what it adds then wants the internet, and stays away."""
    client = f"{house.home.url}/"
    for step, body in {
        "core_config": {},
        "analytics": {},
        "integration": {"client_id": client, "redirect_uri": client},
    }.items():
        house.home.post(f"/api/onboarding/{step}", body)


AUTOMATIONS = {
    "dinner": {
        "alias": "Call to dinner",
        "description": "",
        "triggers": [{"trigger": "time", "at": "18:30:00"}],
        "conditions": [],
        "actions": [
            {
                "action": "gptsovits_tts.announce",
                "target": {"entity_id": SPEAKER},
                "data": {
                    "text": "Dinner is ready. Wash your hands and come to the table.",
                    "voice": "Grandma",
                    "chime": "dingdong",
                    "volume": 0.5,
                },
            }
        ],
        "mode": "single",
    },
    "washing": {
        "alias": "The washing machine is done",
        "use_blueprint": {
            "path": "gptsovits_tts/washing_machine.yaml",
            "input": {"power": WASHER, "players": {"entity_id": SPEAKER}, "voice": "Mum"},
        },
    },
}
