"""Tables of facts that the text front end carries; NOTICE names their sources and licences."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any


def read_table(name: str) -> Any:
    """Parse one of the JSON files of this folder."""
    return json.loads(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))
