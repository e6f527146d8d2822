"""Who may use the API: a bearer token, wherever the service can be reached from other machines."""

from __future__ import annotations

import hmac
import ipaddress
import os
import secrets
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from service.errors import Handler, Unauthorized
from service.pages import refuse_foreign_name, refuse_foreign_page

OPEN_PATHS = ("/", "/health", "/ready", "/openapi.json")
OPEN_FOLDERS = ("/web/", "/clips/")  # a clip's name is a secret of its own
TOKEN_FILE = "token"
_LOOKS = ("GET", "HEAD", "OPTIONS")  # what a browser lets a foreign page ask, but not read
# From here Home Assistant's Supervisor passes on what its users, logged in already, ask of an app.
INGRESS = "172.30.32.2"


def required_token(host: str, token: str, *, allow_anonymous: bool, data: Path) -> str:
    """The token that clients must send; empty for none.

    Beyond the loopback there is always one unless the user wrote that none is wanted: where none
    is set, the data folder's file `token` has it, made on the first start and readable by its
    owner only.

    Raises:
        OSError: the data folder cannot be written.
    """
    if token or allow_anonymous or _is_loopback(host):
        return token
    path = data / TOKEN_FILE
    if path.is_file() and (kept := path.read_text(encoding="ascii").strip()):
        return kept
    data.mkdir(parents=True, exist_ok=True)
    made = secrets.token_urlsafe(24)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(made + "\n")
    part.replace(path)
    return made


def token_check(token: str, *, ingress: bool = False, base_url: str = "") -> Middleware:
    """A middleware that lets through who sends the token, and everybody to page and health.

    Where no token is asked for, a page from anywhere could make its reader's browser speak in the
    voices of this house: what asks for speech from another site's page is refused there, and so
    is all that a browser asks under a name that is not the house's.

    Args:
        token: what clients must send; empty lets everybody through but other sites' pages.
        ingress: whether Supervisor is there, whose ingress has asked its users already.
        base_url: the address that the user wrote for this service; its name is the house's.
    """
    expected = token.encode()

    @web.middleware
    async def authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
        public = request.path in OPEN_PATHS or request.path.startswith(OPEN_FOLDERS)
        if expected and not public and not (ingress and request.remote == INGRESS):
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), expected)
            if scheme.lower() != "bearer" or not right:
                raise Unauthorized("send the service's token as Authorization: Bearer TOKEN")
        elif not expected and not public:
            refuse_foreign_name(request, base_url)
            if request.method not in _LOOKS or "Upgrade" in request.headers:
                refuse_foreign_page(request)
        return await handler(request)

    return authorize


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
