"""JSON Schema out of the rules that requests are checked by, so that both say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, cast

import voluptuous as vol

from service.rules import description_of

Described = dict[str, Any]
_TYPES: dict[object, Described] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}


def described(rule: Any) -> Described:
    """The JSON Schema of a voluptuous rule.

    Args:
        rule: a schema, a validator, a type, a literal or a function.

    Raises:
        KeyError: there is a function that nobody has described.
    """
    match rule:
        case vol.Schema():
            return _object(rule) if isinstance(rule.schema, dict) else described(rule.schema)
        case vol.All():
            merged: Described = {}
            for each in rule.validators:
                merged |= _fitting(described(each), merged)
            return merged
        case vol.Any():
            return {"anyOf": [described(each) for each in rule.validators]}
        case vol.In():
            return {"enum": list(cast("Iterable[Any]", rule.container))}
        case vol.Range():
            return _range(rule)
        case vol.Length():
            return {"minLength": rule.min or 0, "maxLength": rule.max}
        case vol.Match():
            pattern = re.sub(r"\\Z$", "$", rule.pattern.pattern)
            return {"type": "string", "pattern": pattern if pattern[0] == "^" else f"^{pattern}"}
        case dict():
            ((_, values),) = rule.items()  # any names, each with such a value
            return {"type": "object", "additionalProperties": described(values)}
        case list():
            return {"type": "array", "items": described(rule[0])}
        case None:
            return {"type": "null"}
        case str() | bool():
            return {"const": rule}
        case type() if rule in _TYPES:
            return dict(_TYPES[rule])
        case _:
            return description_of(rule)


def _object(schema: vol.Schema) -> Described:
    properties: dict[str, Described] = {}
    required: list[str] = []
    for key, rule in schema.schema.items():
        name = str(key.schema)
        properties[name] = described(rule)
        if isinstance(key, vol.Required):
            required.append(name)
        elif not isinstance(key.default, vol.Undefined):
            properties[name]["default"] = key.default()
    made: Described = {"type": "object", "properties": properties}
    if required:
        made["required"] = required
    if schema.extra == vol.PREVENT_EXTRA:
        made["additionalProperties"] = False
    return made


def _range(rule: vol.Range) -> Described:
    made: Described = {}
    if rule.min is not None:
        made["minimum" if rule.min_included else "exclusiveMinimum"] = rule.min
    if rule.max is not None:
        made["maximum" if rule.max_included else "exclusiveMaximum"] = rule.max
    return made


def _fitting(facts: Described, before: Described) -> Described:
    """A length counts characters or items, by what it stands behind."""
    if before.get("type") != "array":
        return facts
    names = {"minLength": "minItems", "maxLength": "maxItems"}
    return {names.get(name, name): value for name, value in facts.items()}
