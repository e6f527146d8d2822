"""Whose page makes a browser ask: the service's own, or one that only borrows its address."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from service.errors import ServiceError

# Names that no stranger can register: RFC 6761, 6762, 8375, and what routers use.
_AT_HOME = (
    *(".local", ".localhost", ".lan", ".home", ".home.arpa", ".internal", ".localdomain"),
    *(".intranet", ".private", ".fritz.box"),
)
# What browsers send and programs do not; a page cannot make its browser leave all of them out.
_BROWSERS_SEND = ("Origin", "Referer", "Sec-Fetch-Site", "Accept-Language")


class ForeignPage(ServiceError):
    """A browser asks on behalf of another site's page."""

    code = "foreign_page"
    status = 403


def refuse_foreign_page(request: web.Request) -> None:
    """Refuse what another site's page made a browser send.

    Forms need no CORS permission, so a page from anywhere could post one to a service on the
    reader's own machine, where no token is asked for.

    Raises:
        ForeignPage: the browser says so, or names a page on another host.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is None:
        origin = request.headers.get("Origin")
        hosts = {request.host, request.headers.get("X-Forwarded-Host", request.host)}
        foreign = origin is not None and urlsplit(origin).netloc not in hosts
    else:
        foreign = site not in ("same-origin", "none")
    if foreign:
        raise ForeignPage("another site's page asks for this; use the service's own")


def refuse_foreign_name(request: web.Request, base_url: str) -> None:
    """Refuse a browser that reached the service by a name that a stranger may own.

    A page can let its own name lead to the reader's machine once it is loaded (DNS rebinding); to
    the browser, its page and the service are then one site. Addresses, names without a dot, names
    that only a home's own network resolves, and base_url's are the house's. Programs are let
    through under any name: nobody's page speaks through them.

    Raises:
        ForeignPage: another name; the message tells what to write.
    """
    headers = request.headers
    browser = headers.get("User-Agent", "").startswith("Mozilla/")
    if not browser and not any(name in headers for name in _BROWSERS_SEND):
        return
    try:
        name = urlsplit(f"//{headers.get('Host', '')}").hostname or ""
    except ValueError:
        name = "?.?"
    name = name.rstrip(".")
    if not _of_the_house(name) and name != urlsplit(base_url).hostname:
        raise ForeignPage(
            f"a browser may not use this service under the name {name[:100]!r}: if that is your "
            "own, write base_url with it into the configuration, or set a token"
        )


def _of_the_house(name: str) -> bool:
    if "." not in name or name.endswith(_AT_HOME):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
