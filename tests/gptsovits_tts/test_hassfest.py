"""What hassfest checks of a custom integration; no package has hassfest itself."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import voluptuous as vol
import yaml
from homeassistant.const import Platform
from homeassistant.helpers import selector

from custom_components import gptsovits_tts
from custom_components.gptsovits_tts.actions import ACTIONS
from custom_components.gptsovits_tts.config_flow import GptSovitsConfigFlow
from custom_components.gptsovits_tts.const import ATTR_NORMALIZE, NORMALIZE
from custom_components.gptsovits_tts.issues import DEGRADED, TOO_OLD, UNREACHABLE, VOICE_GONE
from custom_components.gptsovits_tts.sensor import RUNGS
from custom_components.gptsovits_tts.speech_options import SAMPLING

FOLDER = Path(gptsovits_tts.__file__).parent
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())
TEXTS = json.loads((FOLDER / "translations" / "en.json").read_text())
ICONS = json.loads((FOLDER / "icons.json").read_text())
SERVICES = yaml.safe_load((FOLDER / "services.yaml").read_text())
SOURCES = {path.stem: path.read_text() for path in FOLDER.glob("*.py")}
RULES = """
action-setup appropriate-polling brands common-modules config-flow config-flow-test-coverage
dependency-transparency docs-actions docs-conditions docs-high-level-description
docs-installation-instructions docs-removal-instructions docs-triggers entity-event-setup
entity-unique-id has-entity-name runtime-data test-before-configure test-before-setup
unique-config-entry action-exceptions config-entry-unloading docs-configuration-parameters
docs-installation-parameters entity-unavailable integration-owner log-when-unavailable
parallel-updates reauthentication-flow test-coverage devices diagnostics discovery
discovery-update-info docs-data-update docs-examples docs-known-limitations docs-supported-devices
docs-supported-functions docs-troubleshooting docs-use-cases dynamic-devices entity-category
entity-device-class entity-disabled-by-default entity-translations exception-translations
icon-translations reconfiguration-flow repair-issues stale-devices async-dependency
inject-websession strict-typing
"""


def _named(source: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, SOURCES[source]))


def _fields(service: dict[str, Any]) -> dict[str, Any]:
    """A service's fields, those in sections too."""
    found = {}
    for name, field in service.get("fields", {}).items():
        found |= field.get("fields", {name: field})
    return found


def test_the_manifest_has_every_key_that_is_needed_in_order() -> None:
    keys = list(MANIFEST)
    assert keys == ["domain", "name", *sorted(set(keys) - {"domain", "name"})]
    assert {"codeowners", "config_flow", "documentation", "iot_class", "version"} < set(keys)
    assert MANIFEST["domain"] == FOLDER.name
    assert MANIFEST["integration_type"] in {"service", "hub"}
    assert MANIFEST["iot_class"] == "local_polling"
    assert MANIFEST["documentation"].startswith("https://")
    assert MANIFEST["issue_tracker"].startswith("https://")
    assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST["version"])
    assert all(re.fullmatch(r"_[a-z]+\._tcp\.local\.", kind) for kind in MANIFEST["zeroconf"])
    assert all(owner.startswith("@") for owner in MANIFEST["codeowners"])


def test_every_component_that_is_imported_is_a_dependency() -> None:
    imported = set()
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
                "homeassistant.components"
            ):
                parts = (node.module or "").split(".")[2:] or [name.name for name in node.names]
                imported.add(parts[0])
    # Platforms are loaded with what they are platforms of.
    platforms = {*Platform, "diagnostics", "repairs", "system_health"}
    known = {*MANIFEST["dependencies"], *MANIFEST["after_dependencies"]}
    assert imported - platforms - known == set()


@pytest.mark.parametrize("section", ["config", "options"])
def test_every_step_error_and_abort_of_a_flow_has_its_text(section: str) -> None:
    source = {"config": "config_flow", "options": "options_flow"}[section]
    texts = TEXTS[section]
    shown = _named(source, r'step_id="(\w+)"') | _named(source, r'_form\(\s*"(\w+)"')
    assert shown == texts["step"].keys()
    problems = _named(source, r'problem = "(\w+)"|return "(\w+)", ""')
    assert {each for pair in problems for each in pair if each} == texts.get("error", {}).keys()
    aborts = _named(source, r'reason="(\w+)"')
    handed_on = {"config": {"already_configured", "cannot_connect", "invalid_auth", "unknown"}}
    assert aborts | handed_on.get(section, set()) == texts.get("abort", {}).keys()


def test_every_step_error_and_abort_of_the_voice_flow_has_its_text() -> None:
    [(kind, flow)] = GptSovitsConfigFlow.async_get_supported_subentry_types(None).items()  # type: ignore[arg-type]
    texts = TEXTS["config_subentries"][kind]
    assert flow.__name__ == "VoiceFlow"
    assert _named("voice_flow", r'_step\("(\w+)"') == texts["step"].keys()
    assert texts["initiate_flow"].keys() == {"user", "reconfigure"}
    assert _named("voice_flow", r'errors\[["\w]+\] = "(\w+)"') == texts["error"].keys()
    aborts = _named("voice_flow", r'reason="(\w+)"') | {"reconfigure_successful"}
    assert aborts == texts["abort"].keys()
    for step in texts["step"].values():
        assert step["data"].keys() == step["data_description"].keys()
        fields = set(re.findall(r"vol\.(?:Optional|Required)\(ATTR_(\w+)\)", SOURCES["voice_flow"]))
        assert {field.lower() for field in fields} == step["data"].keys()
        sampling = step["sections"]["sampling"]
        assert set(SAMPLING) == sampling["data"].keys() == sampling["data_description"].keys()


@pytest.mark.parametrize(
    "step",
    [*TEXTS["config"]["step"].values(), *TEXTS["options"]["step"].values()],
)
def test_every_field_of_a_form_is_explained(step: dict[str, Any]) -> None:
    assert step["data"].keys() == step["data_description"].keys()


def test_every_action_has_schema_description_text_and_icon() -> None:
    assert ACTIONS.keys() == SERVICES.keys() == TEXTS["services"].keys() == ICONS["services"].keys()


@pytest.mark.newest  # older ones ignore what they do not know of a selector
@pytest.mark.parametrize("action", SERVICES)
def test_the_selectors_of_an_action_are_home_assistants(action: str) -> None:
    for field in _fields(SERVICES[action]).values():
        selector.validate_selector(field["selector"])


@pytest.mark.parametrize("action", SERVICES)
def test_the_fields_of_an_action_are_the_same_everywhere(action: str) -> None:
    described, texts = _fields(SERVICES[action]), TEXTS["services"][action]
    _, schema, _ = ACTIONS[action]
    target = {"entity_id", "device_id", "area_id", "floor_id", "label_id", "exclude"}
    assert {str(key) for key in schema} - target == described.keys()
    assert described.keys() == texts["fields"].keys()
    assert all({"name", "description"} == field.keys() for field in texts["fields"].values())
    required = {str(key) for key in schema if isinstance(key, vol.Required)}
    assert required == {name for name, field in described.items() if field.get("required")}
    sections = {n for n, field in SERVICES[action]["fields"].items() if "fields" in field}
    assert sections == texts.get("sections", {}).keys()
    assert sections == ICONS["services"][action].get("sections", {}).keys()


def test_every_choice_of_a_selector_has_its_text() -> None:
    found = {ATTR_NORMALIZE: set(NORMALIZE)}  # of the voice's form
    for service in SERVICES.values():
        for field in _fields(service).values():
            select = field["selector"].get("select") or {}
            if "translation_key" in select:
                found[select["translation_key"]] = set(select["options"])
    assert found == {key: set(each["options"]) for key, each in TEXTS["selector"].items()}


def test_every_exception_that_is_raised_has_its_text() -> None:
    raised = set()
    for source in SOURCES.values():
        raised |= set(re.findall(r'mistake\(\s*"(\w+)"', source))
        raised |= set(re.findall(r'translation_key="(\w+)"', source))
        raised |= set(re.findall(r'(?<!translation_)key = "(\w+)"', source))
    raised |= {"players_unavailable", "no_players"}
    entities = {key for platform in TEXTS["entity"].values() for key in platform}
    # Sensors, flags and entities have translation keys as well.
    assert raised - entities == TEXTS["exceptions"].keys()
    assert entities <= raised | {"speech", "voice", "last_announcement"} | _named(
        "tts", r'_attr_translation_key = "(\w+)"'
    )


def _mistakes() -> list[tuple[str, set[str]]]:
    """Every call of `mistake` with a key of its own: that key, and the placeholders given."""
    calls = [
        node
        for source in SOURCES.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "mistake"
    ]
    return [
        (call.args[0].value, {str(keyword.arg) for keyword in call.keywords})
        for call in calls
        if isinstance(call.args[0], ast.Constant)
    ]


@pytest.mark.parametrize(("key", "given"), _mistakes())
def test_the_placeholders_of_an_exception_are_given(key: str, given: set[str]) -> None:
    assert set(re.findall(r"{(\w+)}", TEXTS["exceptions"][key]["message"])) == given


def test_every_issue_has_its_texts() -> None:
    issues = TEXTS["issues"]
    assert issues.keys() == {TOO_OLD, DEGRADED, UNREACHABLE, VOICE_GONE}
    for kind in (TOO_OLD, DEGRADED, UNREACHABLE):
        assert issues[kind]["fix_flow"]["step"].keys() == {"confirm"}
        assert issues[kind]["fix_flow"]["error"].keys() == {"still_there"}
    steps = issues[VOICE_GONE]["fix_flow"]["step"]
    assert steps.keys() == {"init", "replace", "remove"}
    assert steps["init"]["menu_options"].keys() == {"replace", "remove"}


def test_every_entity_has_name_and_icon() -> None:
    names = {platform: set(keys) for platform, keys in TEXTS["entity"].items()}
    icons = {platform: set(keys) for platform, keys in ICONS["entity"].items()}
    assert names == icons
    assert names.keys() == {str(platform) for platform in gptsovits_tts.PLATFORMS}
    for platform in ("binary_sensor", "sensor"):
        assert _named(platform, r'translation_key="(\w+)"') == names[platform]


def test_every_state_of_an_entity_has_its_text() -> None:
    assert list(TEXTS["entity"]["sensor"]["rung"]["state"]) == RUNGS


def test_translations_refer_to_nothing() -> None:
    # Core's references between texts are not resolved in custom integrations.
    for path in (FOLDER / "translations").glob("*.json"):
        assert "[%key:" not in path.read_text(encoding="utf-8")
    assert not (FOLDER / "strings.json").exists()


def test_the_quality_scale_is_complete_and_reasoned() -> None:
    rules = yaml.safe_load((FOLDER / "quality_scale.yaml").read_text())["rules"]
    assert list(rules) == RULES.split()
    for name, rule in rules.items():
        status = rule["status"] if isinstance(rule, dict) else rule
        assert status in {"done", "exempt", "todo"}, name
        assert status != "exempt" or rule["comment"], name


def test_what_the_scale_wants_in_files_is_there() -> None:
    assert (FOLDER / "py.typed").exists()
    assert "CONFIG_SCHEMA" in SOURCES["__init__"]
    for platform in gptsovits_tts.PLATFORMS:
        assert "PARALLEL_UPDATES = 0" in SOURCES[str(platform)]
    # The update listener is the one way to a reload.
    assert "reload_and_abort" not in "".join(SOURCES.values())
