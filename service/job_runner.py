"""Long work on models: one job at a time, to be watched and cancelled.

A job works in a hidden folder of its own, marked as somebody's for as long as the process lives;
whatever is killed whenever, the next start clears the folder away.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

from engines.errors import CheckpointError
from service.errors import ServiceError
from service.model_errors import InstallFailed, JobNotFound, TooManyJobs
from service.model_job import InstallJob
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
MOST_WAITING = 4
MOST_KNOWN = 20
_WORK = ".work-"


class JobRunner:
    """Does jobs.

    Args:
        folder: where they work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: OrderedDict[str, InstallJob] = OrderedDict()
        self._locks: dict[str, IO[bytes]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        _sweep(folder)

    def all(self) -> list[InstallJob]:
        """What is being done, and the latest that was; the newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> InstallJob:
        """A job.

        Raises:
            JobNotFound: there is none, or it is long over.
        """
        if job_id not in self._jobs:
            raise JobNotFound("job: there is no such job", param="job")
        return self._jobs[job_id]

    def begin(self, source: str, name: str) -> InstallJob:
        """Make a job and its folder; who begins one also starts or drops it.

        Raises:
            TooManyJobs: as many wait as may.
            StorageFailed: the disk does not take it.
        """
        if sum(not job.ended for job in self._jobs.values()) > MOST_WAITING:
            raise TooManyJobs("other models are being installed; try again", retry_after=30)
        job_id = secrets.token_hex(6)
        work = self._folder / f"{_WORK}{job_id}"
        try:
            work.mkdir(parents=True, mode=0o700)
            self._locks[job_id] = _hold(work)
        except OSError as error:
            raise StorageFailed(f"models: cannot be written: {error.strerror}") from error
        return self._known(InstallJob(job_id, source, name, work))

    def note(self, source: str, name: str) -> InstallJob:
        """Make a job that needs no folder: it goes where nothing can be written, too."""
        job_id = secrets.token_hex(6)
        return self._known(InstallJob(job_id, source, name, self._folder / f"{_WORK}{job_id}"))

    async def cancel(self, job_id: str) -> InstallJob:
        """End a job; what it has made is deleted. A job that has ended is forgotten.

        Raises:
            JobNotFound: there is none.
        """
        job = self.get(job_id)
        if job.ended:
            del self._jobs[job_id]
        elif (task := self._tasks.get(job_id)) is not None:
            task.cancel()
            await asyncio.wait({task})
        else:
            await self.drop(job)
        return job

    async def wait(self, job: InstallJob) -> None:
        """Until a started job has ended."""
        if (task := self._tasks.get(job.id)) is not None:
            await asyncio.wait({task})

    async def drop(self, job: InstallJob, error: ServiceError | None = None) -> None:
        """End a job that has not been started: an upload that broke off."""
        await self._clear(job)
        _end(job, "failed" if error is not None else "cancelled", error)

    async def close(self) -> None:
        """Cancel what is being done."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(self, job: InstallJob, work: Callable[[], Awaitable[None]]) -> None:
        """Do a job when it is its turn; what its work raises becomes the job's error."""
        job.state = "waiting"
        task = asyncio.create_task(self._run(job, work))
        self._tasks[job.id] = task
        task.add_done_callback(lambda done: self._tasks.pop(job.id, None))

    def _known(self, job: InstallJob) -> InstallJob:
        self._jobs[job.id] = job
        for old in [each for each in self._jobs.values() if each.ended][:-MOST_KNOWN]:
            del self._jobs[old.id]
        return job

    async def _run(self, job: InstallJob, work: Callable[[], Awaitable[None]]) -> None:
        ended, failure = "failed", None
        try:
            async with self._turn:
                job.state = "running"
                await work()
            ended = "done"
        except asyncio.CancelledError:
            ended, job.message = "cancelled", "cancelled"
            raise
        except ServiceError as error:
            failure = error
        except (OSError, CheckpointError) as error:
            failure = InstallFailed(_named(error))
            failure.code = getattr(error, "code", "storage_failed")
        except Exception:
            _LOGGER.exception("model %r: a job failed", job.name)
            failure = InstallFailed("it failed; the log says why")
        finally:
            # Who reads that it has ended may count on its folder being gone.
            await self._clear(job)
            _end(job, ended, failure)

    async def _clear(self, job: InstallJob) -> None:
        # Shielded: a second cancellation must not leave the folder behind.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, job.work, ignore_errors=True))
        if (lock := self._locks.pop(job.id, None)) is not None:
            lock.close()


def _end(job: InstallJob, state: str, error: ServiceError | None) -> None:
    if error is not None:
        job.message, job.error = str(error), {"code": error.code, "message": str(error)}
        _LOGGER.error("model %r: %s failed (%s): %s", job.name, job.source, error.code, error)
    job.state = state


def _named(error: Exception) -> str:
    if isinstance(error, OSError):
        name = Path(str(error.filename)).name if error.filename else "the model"
        return f"{name}: {error.strerror or error}"
    return str(error)


def _hold(work: Path) -> IO[bytes]:
    """Mark a folder as somebody's work, for as long as this process lives."""
    file = (work / ".lock").open("wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _sweep(folder: Path) -> None:
    """Clear away what killed processes were working on."""
    for work in folder.glob(f"{_WORK}*"):
        with contextlib.suppress(OSError):
            _hold(work).close()
            shutil.rmtree(work)
