"""How Supervisor reads an app's manifest, translations and options.

Source: https://developers.home-assistant.io/docs/apps/configuration, as of August 2026, with what
Supervisor warns of refused: a manifest of ours shall cause no line in anybody's log. Supervisor's
own code of that month reads our files as this one does; it was run beside the tests, not in them.
"""

from __future__ import annotations

import re
from typing import Any

import voluptuous as vol
import yaml

ARCHITECTURES = ("aarch64", "amd64")
# type, optionally with a range or list in brackets, optionally followed by `?`
OPTION_TYPE = re.compile(
    r"^(?:(?P<type>bool|email|url|port|device)"
    r"|(?P<text>str|password)(?:\((?P<length>\d*,\d*)\))?"
    r"|(?P<number>int)(?:\((?P<range>(?:-?\d+)?,(?:-?\d+)?)\))?"
    r"|(?P<fraction>float)(?:\((?P<limits>(?:-?\d*\.?\d+)?,(?:-?\d*\.?\d+)?)\))?"
    r"|match\((?P<pattern>.*)\)|list\((?P<choices>.+)\))\??$"
)
_PORTS = {vol.Match(r"^\d+(/tcp|/udp)?$"): vol.Maybe(vol.All(int, vol.Range(1, 65535)))}
_FOLDERS = ["app_config", "all_app_configs", "homeassistant_config", "ssl", "local_apps"]
_FOLDERS += ["backup", "share", "media", "data"]
_OPTION = vol.Match(OPTION_TYPE)

MANIFEST = vol.Schema(
    {
        vol.Required("name"): str,
        vol.Required("version"): vol.Match(r"^[A-Za-z0-9_.-]+$"),
        vol.Required("slug"): vol.Match(r"^[-_.A-Za-z0-9]+$"),
        vol.Required("description"): str,
        vol.Required("arch"): vol.All([vol.In(ARCHITECTURES)], vol.Length(min=1), vol.Unique()),
        "url": vol.Url(),
        "startup": vol.In(("initialize", "system", "services", "application", "once")),
        "boot": vol.In(("auto", "manual", "manual_only")),
        "init": bool,
        "stage": vol.In(("stable", "experimental", "deprecated")),
        "ports": _PORTS,
        "ports_description": {vol.Match(r"^\d+(/tcp|/udp)?$"): str},
        "watchdog": vol.Match(r"^(https?|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*$"),
        "ingress": bool,
        "ingress_port": vol.All(int, vol.Range(0, 65535)),
        "ingress_stream": bool,
        "panel_icon": vol.Match(r"^mdi:[a-z0-9-]+$"),
        "panel_title": str,
        "panel_admin": bool,
        "homeassistant": vol.Match(r"^\d{4}\.\d+\.\d+$"),
        "homeassistant_api": bool,
        "services": [vol.Match(r"^(mqtt|mysql):(provide|want|need)$")],
        "discovery": [str],
        "tmpfs": bool,
        "map": [
            {vol.Required("type"): vol.In(_FOLDERS), "read_only": bool, "path": str},
        ],
        "backup": vol.In(("hot", "cold")),
        "backup_exclude": [str],
        "timeout": vol.All(int, vol.Range(10, 300)),
        "breaking_versions": [str],
        "image": vol.Match(r"^([a-zA-Z\-.:\d{}]+/)*?[\-\w{}]+/[\-\w{}]+$"),
        "options": dict,
        "schema": {str: _OPTION},
    }
)

_TEXTS = {vol.Required("name"): str, "description": str}
TRANSLATIONS = vol.Schema({"configuration": {str: _TEXTS}, "network": {str: str}})


class UniqueKeys(yaml.SafeLoader):
    """YAML whose mappings say nothing twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if len(set(names)) != len(names):
            raise ValueError(f"said twice: {sorted(map(str, names))}")
        return super().construct_mapping(node, deep)


def renamed(profile: str, slug: str) -> str:
    """An AppArmor profile as Supervisor installs it: under the slug with its repository's prefix.

    Only the line that opens the profile is changed; there must be one such line.
    """
    (line,) = re.findall(r"^profile \S+.*$", profile, re.MULTILINE)
    return profile.replace(line, line.replace(line.split()[1], slug, 1))


def options_schema(schema: dict[str, str]) -> vol.Schema:
    """What Supervisor lets a user enter; every option that is not marked `?` must be there."""
    return vol.Schema(
        {
            vol.Optional(name) if rule.endswith("?") else vol.Required(name): _rule(rule)
            for name, rule in schema.items()
        }
    )


def _rule(rule: str) -> Any:
    found = OPTION_TYPE.match(rule)
    if found is None:
        raise ValueError(f"not a type of option: {rule}")
    if found["choices"]:
        return vol.All(vol.Coerce(str), vol.In(found["choices"].split("|")))
    if found["pattern"]:
        return vol.Match(found["pattern"])
    if found["text"]:
        return vol.All(str, _between(found["length"], int, vol.Length))
    if found["number"]:
        return vol.All(vol.Coerce(int), _between(found["range"], int, vol.Range))
    if found["fraction"]:
        return vol.All(vol.Coerce(float), _between(found["limits"], float, vol.Range))
    kinds = {"bool": vol.Boolean(), "url": vol.Url(), "email": vol.Email(), "device": str}
    return kinds.get(found["type"], vol.All(vol.Coerce(int), vol.Range(1, 65535)))


def _between(text: str | None, kind: type, check: Any) -> Any:
    least, _, most = (text or ",").partition(",")
    return check(min=kind(least) if least else None, max=kind(most) if most else None)
