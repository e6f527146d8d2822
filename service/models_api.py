"""The routes of models: list, install, share the traffic, promote, roll back, delete."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import voluptuous as vol
from aiohttp import web

from engines.model_folder import DRAWN, PRECISIONS
from engines.spec import OFFICIAL_FILES
from service.box import NAME
from service.errors import BadRequest, ServiceError
from service.installed_model import LONGEST_NAME, InstalledModel, check_name
from service.model_errors import ModelInUse, NoCard
from service.model_fleet import ModelFleet
from service.model_jobs import ModelJobs, check_precision
from service.model_traffic import MOST_WEIGHT, STICKY, weight
from service.model_uploads import receive
from service.pages import refuse_foreign_page
from service.requests import check, read_json

_LIMITS: dict[str, Any] = {
    "source": ["box", "folder", "hub"],
    "version": list(OFFICIAL_FILES),
    "precision": list(PRECISIONS),
    "name": LONGEST_NAME,
    "sticky": list(STICKY),
    "weights": [0, MOST_WEIGHT],
}
INSTALL = vol.Schema(
    {
        vol.Required("source"): vol.In(["box", "folder", "hub"]),
        vol.Optional("folder"): str,
        vol.Optional("version"): vol.In(list(OFFICIAL_FILES)),
        vol.Optional("chinese", default=False): bool,
        vol.Optional("name"): str,
        vol.Optional("precision", default="fp32"): vol.In(list(PRECISIONS)),
    }
)
UPLOAD = vol.Schema(
    {vol.Optional("name"): str, vol.Optional("precision", default="fp32"): vol.In(list(PRECISIONS))}
)
TRAFFIC = vol.Schema(
    {vol.Required("weights"): {str: weight}, vol.Optional("sticky"): vol.In(list(STICKY))}
)


class ModelsApi:
    """Routes of models.

    Args:
        fleet: the models and who of them speaks.
        jobs: installs them.
    """

    def __init__(self, fleet: ModelFleet, jobs: ModelJobs) -> None:
        self._fleet = fleet
        self._store = fleet.store
        self._jobs = jobs

    def routes(self) -> list[web.RouteDef]:
        """All routes, for the application."""
        models, job, model = "/v1/models", "/v1/models/jobs/{id}", "/v1/models/{id}"
        return [
            web.get(models, self._list),
            web.post(models, self._install),
            web.get(models + "/traffic", self._get_traffic),
            web.put(models + "/traffic", self._put_traffic),
            web.get(models + "/jobs", self._list_jobs),
            web.get(job, self._get_job),
            web.delete(job, self._cancel),
            web.get(model, self._get),
            web.delete(model, self._delete),
            web.post(model + "/promote", self._promote),
            web.post(model + "/rollback", self._rollback),
            web.post(model + "/unload", self._unload),
            web.post(model + "/build", self._build),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        await asyncio.to_thread(self._store.refresh)
        folders = await asyncio.to_thread(self._jobs.incoming_folders)
        return web.json_response(
            {
                "object": "list",
                "data": [self._listed(model) for model in self._store.all()],
                "traffic": self._traffic(),
                "jobs": [job.as_dict() for job in self._jobs.all()],
                "incoming": folders,
                "versions": list(OFFICIAL_FILES),
                "converting": self._jobs.converter.state,
                "box": self._jobs.box.is_there,
            }
        )

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._listed(self._store.find(request.match_info["id"])))

    async def _install(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        if request.content_type == "multipart/form-data":
            return await self._upload(request)
        fields = check(INSTALL, read_json(await request.read()), _LIMITS)
        precision = fields["precision"]
        if fields["source"] == "box":
            return _accepted(self._jobs.start_box(check_name(fields.get("name", NAME))).as_dict())
        wanted = "folder" if fields["source"] == "folder" else "version"
        if wanted not in fields:
            raise BadRequest(f"{wanted}: is missing", param=wanted)
        name = check_name(fields.get("name", fields[wanted]))
        if wanted == "folder":
            job = self._jobs.start_folder(name, fields["folder"], precision)
        else:
            chinese = fields["chinese"]
            job = self._jobs.start_download(name, fields["version"], precision, chinese=chinese)
        return _accepted(job.as_dict())

    async def _upload(self, request: web.Request) -> web.Response:
        self._jobs.converter.check()
        job = self._jobs.begin("upload", "upload")
        try:
            fields = await receive(request, job)
            job.name = check_name(fields.get("name", "model"))
            precision = check_precision(fields.get("precision", "fp32"))
        except ServiceError as error:
            await self._jobs.drop(job, error)
            raise
        except BaseException:  # the client has gone, or the service stops
            await asyncio.shield(self._jobs.drop(job))
            raise
        if not job.ended:  # not cancelled meanwhile
            self._jobs.start_upload(job, precision)
        return _accepted(job.as_dict())

    async def _delete(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        model_id = request.match_info["id"]
        # Who speaks alone goes only when that is asked for: then the plain voice is all there is.
        if request.query.get("last") == "true":
            if self._store.traffic.weights.keys() - {self._store.find(model_id).id}:
                message = f"model: {model_id} is not the only one with traffic"
                raise ModelInUse(message, param="model")
            await asyncio.to_thread(self._store.set_traffic, {})
        await self._fleet.release(model_id)
        await asyncio.to_thread(self._store.delete, model_id)
        return web.Response(status=204)

    async def _promote(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        await self._fleet.promote(request.match_info["id"])
        return web.json_response(self._traffic())

    async def _rollback(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        await self._fleet.rollback(request.match_info["id"])
        return web.json_response(self._traffic())

    async def _unload(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        model = self._store.find(request.match_info["id"])
        await asyncio.to_thread(self._fleet.unload, model.id)
        return web.json_response(self._listed(model))

    async def _build(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        model = self._store.find(request.match_info["id"])
        if not await asyncio.to_thread(self._fleet.build, model.id):
            raise NoCard("model: no graphics card speaks here, so there is nothing to build")
        return web.json_response(self._listed(model), status=202)

    async def _get_traffic(self, request: web.Request) -> web.Response:
        return web.json_response(self._traffic())

    async def _put_traffic(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        fields = check(TRAFFIC, read_json(await request.read()), _LIMITS)
        await self._fleet.share(fields["weights"], fields.get("sticky"))
        return web.json_response(self._traffic())

    async def _list_jobs(self, request: web.Request) -> web.Response:
        return web.json_response({"jobs": [job.as_dict() for job in self._jobs.all()]})

    async def _get_job(self, request: web.Request) -> web.Response:
        return web.json_response(self._jobs.get(request.match_info["id"]).as_dict())

    async def _cancel(self, request: web.Request) -> web.Response:
        refuse_foreign_page(request)
        job = await self._jobs.cancel(request.match_info["id"])
        return web.json_response(job.as_dict())

    def _listed(self, model: InstalledModel) -> dict[str, Any]:
        state, reason = self._fleet.state(model.id)
        return {
            "id": model.id,
            "object": "model",
            "created": _seconds(model.created),
            "owned_by": "this house",
            "name": model.name,
            "version": model.facts.version,
            "precision": model.precision,
            "sampling": {name: getattr(model.sampling, name) for name in DRAWN},
            "sample_rate": model.facts.sample_rate,
            "bytes": model.size,
            "source": model.source,
            "state": state,
            "reason": reason,
            "rungs": self._fleet.rungs(model.id),
            "share": round(self._store.traffic.share(model.id), 4),
        }

    def _traffic(self) -> dict[str, Any]:
        traffic = self._store.traffic
        before = traffic.back()
        return {
            "weights": dict(traffic.weights),
            "sticky": traffic.sticky,
            "before": dict(before.weights) if before is not None else None,
        }


def _accepted(job: dict[str, Any]) -> web.Response:
    return web.json_response(job, status=202, headers={"Location": f"/v1/models/jobs/{job['id']}"})


def _seconds(created: str | None) -> int:
    """A Unix time, as OpenAI's clients want it; 0 where nobody noted one."""
    try:
        return int(datetime.fromisoformat(created or "").timestamp())
    except ValueError:
        return 0
