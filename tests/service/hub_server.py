"""A local server that speaks the hub's protocol, and misbehaves on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from engines.spec import OFFICIAL_REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 4096  # bytes from which a file lies in the content network, under its SHA-256


@dataclass
class Hub:
    """The official repository with these files.

    Attributes:
        files: name → content.
        break_after: the connection breaks after so many bytes of an answer, as often as `breaks`.
        lies: names of files that are announced with another hash.
        asked: every request: method, path, Range.
    """

    files: Mapping[str, bytes]
    break_after: int = 0
    breaks: int = 0
    lies: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get(
            f"/{OFFICIAL_REPOSITORY}/resolve/{{revision}}/{{name:.+}}", self._resolve
        )
        app.router.add_get("/content/{digest}", self._content)
        return app

    def digest(self, name: str) -> str:
        data = self.files[name] + (b"?" if name in self.lies else b"")
        if len(data) >= LARGE:
            return hashlib.sha256(data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    async def _resolve(self, request: web.Request) -> web.StreamResponse:
        name, revision = request.match_info["name"], request.match_info["revision"]
        self._note(request)
        headers = {"X-Repo-Commit": COMMIT}
        if name not in self.files or revision not in ("main", COMMIT):
            headers["X-Error-Code"] = "EntryNotFound"
            return web.Response(status=404, headers=headers)
        data = self.files[name]
        if len(data) < LARGE:
            headers["ETag"] = f'"{self.digest(name)}"'
            return web.Response(body=data, headers=headers)
        headers["X-Linked-Size"] = str(len(data))
        headers["X-Linked-Etag"] = f'"{self.digest(name)}"'
        place = hashlib.sha256(data).hexdigest()
        # Another host, as the hub's content network is.
        headers["Location"] = f"http://localhost:{request.url.port}/content/{place}"
        return web.Response(status=302, headers=headers)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        self._note(request)
        digest = request.match_info["digest"]
        data = next(
            each for each in self.files.values() if hashlib.sha256(each).hexdigest() == digest
        )
        begin = int(request.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        response = web.StreamResponse(status=206 if begin else 200)
        response.content_length = len(data) - begin
        response.headers["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
        await response.prepare(request)
        if self.breaks:
            self.breaks -= 1
            await response.write(data[begin : begin + self.break_after])
            assert request.transport is not None
            request.transport.abort()
            return response
        await response.write(data[begin:])
        return response

    def _note(self, request: web.Request) -> None:
        authorized = "Authorization" in request.headers
        assert not (authorized and request.path.startswith("/content")), "a token went astray"
        self.asked.append((request.method, request.path, request.headers.get("Range", "")))
