"""Engines for the graphics card, built by a process beside the service while another rung speaks.

An engine that cannot be built, or that crashes its builder, leaves the others alone: what it would
have computed runs on the CPU. Engines that are there already cost a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from engines.graphs import graphs
from engines.model_folder import ModelFolder
from service.installed_model import InstalledModel
from service.job_runner import JobRunner
from service.model_errors import ChildKilled, InstallFailed
from service.model_job import InstallJob
from service.model_metrics import ModelMetrics
from service.model_process import run_child

_LOGGER = logging.getLogger(__name__)
SOURCE = "engines"  # of these jobs
_SOME_FAILED = 1  # status of `engines build`


class EnginesMissing(InstallFailed):
    """A model has no engine at all."""

    code = "engines_missing"


@dataclass(slots=True)
class _Outcome:
    """What became of a model's engines: seconds of those that were built, reasons of the others."""

    ready: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        total = len(self.ready) + len(self.failed)
        if not self.failed:
            return f"{total} engines are ready"
        lost = "; ".join(f"{graph}: {reason}" for graph, reason in self.failed.items())
        return f"{len(self.ready)} of {total} engines are ready, the CPU stands in for {lost}"


class EngineBuilds:
    """Builds engines, one model at a time.

    Args:
        jobs: whose turn it is, and what the page shows of it.
        metrics: where to count.
        arguments: for `python -m engines build` besides the model.
    """

    def __init__(
        self, jobs: JobRunner, metrics: ModelMetrics, arguments: Sequence[str] = ()
    ) -> None:
        self._jobs = jobs
        self._metrics = metrics
        self._arguments = arguments
        self._under_way: dict[str, InstallJob] = {}

    async def build(self, model: InstalledModel) -> str:
        """Build what is missing of a model's engines.

        Returns:
            What became of them, for a person.

        Raises:
            InstallFailed: no engine is there now; its code says why: `backend_unavailable` where
                the card, its driver or TensorRT cannot be used.
        """
        job = self._jobs.note(SOURCE, model.name)
        job.model = model.id
        self._under_way[model.id] = job
        try:
            self._jobs.start(job, lambda: self._work(job, model))
            await self._jobs.wait(job)
        except asyncio.CancelledError:
            await self._jobs.cancel(job.id)
            raise
        finally:
            del self._under_way[model.id]
        if job.state != "done":
            error = job.error or {"code": "cancelled", "message": "its building was cancelled"}
            failed = EnginesMissing(error["message"])
            failed.code = error["code"]
            raise failed
        return job.message

    async def stop(self, model_id: str) -> None:
        """Stop building a model's engines; returns when nothing writes to its folder any more."""
        if (job := self._under_way.get(model_id)) is not None:
            await self._jobs.cancel(job.id)

    async def _work(self, job: InstallJob, model: InstalledModel) -> None:
        outcome = _Outcome()
        job.at("build", 0, "looking for its engines")
        wanted = await asyncio.to_thread(_speaking, model)
        while left := [name for name in wanted if name not in {**outcome.ready, **outcome.failed}]:
            await self._build(job, model, left, len(wanted), outcome)
        if not outcome.ready:
            raise EnginesMissing(str(outcome))
        job.at("build", 100, str(outcome))
        if outcome.failed:
            _LOGGER.warning("model %s: %s", model.id, outcome)

    async def _build(
        self,
        job: InstallJob,
        model: InstalledModel,
        left: Sequence[str],
        total: int,
        outcome: _Outcome,
    ) -> None:
        """Build these until all are through or the builder dies; one that kills it has failed."""
        began = monotonic()
        before = total - len(left)

        def tell(done: int, of: int, what: str) -> None:
            job.at("build", 100 * (before + len(left) * done / max(1, of)) / total, what)

        def hear(told: dict[str, Any]) -> None:
            graph, seconds = str(told["graph"]), float(told["seconds"])
            self._metrics.built(model.id, graph, str(told["state"]), seconds)
            if told["state"] == "failed":
                outcome.failed[graph] = str(told["reason"])
            else:
                outcome.ready[graph] = seconds

        how = ("--progress", "json", *self._arguments, "--only", *left)
        try:
            await run_child(
                "build", model.folder, *how, tell=tell, hear=hear, good=(0, _SOME_FAILED)
            )
        except ChildKilled as error:
            known = {**outcome.ready, **outcome.failed}
            graph = next((name for name in left if name not in known), None)
            if graph is None:
                return
            seconds = monotonic() - began
            hear({"graph": graph, "state": "failed", "seconds": seconds, "reason": str(error)})
        else:
            for graph in left:
                if graph not in {**outcome.ready, **outcome.failed}:
                    outcome.failed[graph] = "the builder said nothing of it"


def _speaking(model: InstalledModel) -> list[str]:
    folder = ModelFolder.read(model.folder)
    table = graphs(folder.model)
    return [name for name in folder.graphs if table[name].stage == "speak"]
