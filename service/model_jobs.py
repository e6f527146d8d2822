"""Installing models: one at a time, in a process beside the service, to be watched and cancelled.

A job works in a hidden folder of its own. Only a whole model is moved out of it, by one rename, so
whatever is killed whenever leaves the models as they were; the next start clears the folder away.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import re
import secrets
import shutil
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

from engines.errors import CheckpointError
from engines.model_folder import PRECISIONS, ModelFolder
from engines.spec import OFFICIAL_FILES, OFFICIAL_REPOSITORY
from service.durable import write_file
from service.errors import BadRequest, ServiceError
from service.installed_model import ABOUT, about_file
from service.model_errors import InstallFailed, JobNotFound, TooManyJobs
from service.model_files import (
    BASE,
    SHARED,
    SOVITS,
    T2S,
    copy_model,
    files_of,
    find_pair,
    gather,
    keep_shared,
)
from service.model_job import InstallJob
from service.model_process import run_child
from service.models import ModelStore
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
MOST_WAITING = 4
MOST_KNOWN = 20
DOWNLOADS = ".downloads"
_WORK = ".work-"
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+=-]{0,99}")


class ModelJobs:
    """Installs models.

    Args:
        store: where they go.
        incoming: folder from which models may be installed by the name of a folder in it.
        hub: address of the hub; empty for the library's own.
    """

    def __init__(self, store: ModelStore, incoming: Path, hub: str = "") -> None:
        self._store = store
        self.incoming = incoming
        self._hub = hub
        self._jobs: OrderedDict[str, InstallJob] = OrderedDict()
        self._locks: dict[str, IO[bytes]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._turn = asyncio.Lock()
        _sweep(store.folder)

    def all(self) -> list[InstallJob]:
        """What is being installed, and the latest that were; the newest first."""
        return list(reversed(self._jobs.values()))

    def get(self, job_id: str) -> InstallJob:
        """A job.

        Raises:
            JobNotFound: there is none, or it is long over.
        """
        if job_id not in self._jobs:
            raise JobNotFound("job: there is no such installation", param="job")
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
        work = self._store.folder / f"{_WORK}{job_id}"
        try:
            work.mkdir(parents=True, mode=0o700)
            self._locks[job_id] = _hold(work)
        except OSError as error:
            raise StorageFailed(f"models: cannot be written: {error.strerror}") from error
        self._jobs[job_id] = job = InstallJob(job_id, source, name, work)
        for old in [each for each in self._jobs.values() if each.ended][:-MOST_KNOWN]:
            del self._jobs[old.id]
        return job

    def start_upload(self, job: InstallJob, precision: str) -> None:
        """Install what lies in the job's folder under the names of `model_files.UPLOADS`."""

        async def prepare() -> None:
            given = job.work / SHARED
            await self._convert(job, job.work / T2S, job.work / SOVITS, given, precision)
            await asyncio.to_thread(keep_shared, given, self._base)

        self._start(job, prepare)

    def start_folder(self, name: str, folder: str, precision: str) -> InstallJob:
        """Install a folder of the incoming ones: a converted model, or official files.

        Raises:
            BadRequest: there is no such folder, or it holds neither.
            TooManyJobs, StorageFailed: see `begin`.
        """
        if folder not in self.incoming_folders():
            message = f"folder: there is no folder {folder[:80]!r} in {self.incoming.name}"
            raise BadRequest(message, param="folder")
        return self.start_path(name, self.incoming / folder, precision)

    def start_path(self, name: str, folder: Path, precision: str) -> InstallJob:
        """Install a folder that a person on this machine named; errors as `start_folder`."""
        converted = (folder / "model.json").is_file()
        pair = None if converted else find_pair(folder)
        job = self.begin("folder", name)

        async def prepare() -> None:
            if pair is None:
                job.at("copy", 0, "copying the converted model")
                await asyncio.to_thread(_copy_whole, folder, job.work / "model")
            else:
                await self._convert(job, *pair, folder, precision)

        self._start(job, prepare)
        return job

    def start_download(
        self, name: str, version: str, precision: str, *, chinese: bool
    ) -> InstallJob:
        """Download the official files of a version and install them.

        What has come stays until the model is installed: another try goes on from there.

        Raises:
            TooManyJobs, StorageFailed: see `begin`.
        """
        job = self.begin("hub", name)

        async def prepare() -> None:
            came = self._store.folder / DOWNLOADS
            names = files_of(version, self._base, chinese=chinese)
            at: list[str | Path] = ["--endpoint", self._hub] if self._hub else []
            job.at("download", 0, "asking the hub")

            def tell(done: int, total: int, what: str) -> None:
                said = f"{what}: {done >> 20} of {total >> 20} MiB in all"
                job.at("download", 100 * done / max(1, total), said)

            where = ("--repository", OFFICIAL_REPOSITORY, "--to", came)
            await run_child("download", *where, *at, *names, tell=tell)
            t2s, sovits = OFFICIAL_FILES[version]
            await self._convert(job, came / t2s, came / sovits, came, precision)
            await asyncio.to_thread(keep_shared, came, self._base)
            await asyncio.to_thread(shutil.rmtree, came, ignore_errors=True)

        self._start(job, prepare)
        return job

    def incoming_folders(self) -> list[str]:
        """Names of the folders that may be installed."""
        try:
            return sorted(
                path.name
                for path in self.incoming.iterdir()
                if path.is_dir() and not path.is_symlink() and _FOLDER.fullmatch(path.name)
            )
        except OSError:
            return []

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
        """Cancel what is being installed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _base(self) -> Path:
        return self._store.folder / BASE

    def _start(self, job: InstallJob, prepare: Callable[[], Awaitable[None]]) -> None:
        job.state = "waiting"
        task = asyncio.create_task(self._run(job, prepare))
        self._tasks[job.id] = task
        task.add_done_callback(lambda done: self._tasks.pop(job.id, None))

    async def _run(self, job: InstallJob, prepare: Callable[[], Awaitable[None]]) -> None:
        ended, failure = "failed", None
        try:
            async with self._turn:
                job.state = "running"
                await prepare()
                await self._install(job)
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
            _LOGGER.exception("model %r: installing failed", job.name)
            failure = InstallFailed("installing failed; the log says why")
        finally:
            # Who reads that it has ended may count on its folder being gone.
            await self._clear(job)
            _end(job, ended, failure)

    async def _install(self, job: InstallJob) -> None:
        job.at("install", 100, "checking and moving the model")
        about = about_file(job.name, job.created, job.source)
        await asyncio.to_thread(write_file, job.work / "model" / ABOUT, about)
        model = await asyncio.to_thread(self._store.install, job.work / "model", job.name)
        job.model, job.message = model.id, "installed"
        _LOGGER.info("model %r is installed as %s", job.name, model.id)

    async def _convert(
        self, job: InstallJob, t2s: Path, sovits: Path, given: Path, precision: str
    ) -> None:
        shared = await asyncio.to_thread(gather, given, self._base, job.work / "gathered")
        job.at("convert", 0, "reading the checkpoints")

        def tell(done: int, total: int, what: str) -> None:
            job.at("convert", 100 * done / max(1, total), f"{what} ({done} of {total})")

        files = ("--t2s", t2s, "--sovits", sovits, "--models", shared)
        how = ("--out", job.work / "model", "--precision", precision, "--progress", "json")
        await run_child("convert", *files, *how, tell=tell)

    async def _clear(self, job: InstallJob) -> None:
        # Shielded: a second cancellation must not leave the folder behind.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, job.work, ignore_errors=True))
        if (lock := self._locks.pop(job.id, None)) is not None:
            lock.close()


def _end(job: InstallJob, state: str, error: ServiceError | None) -> None:
    if error is not None:
        job.message, job.error = str(error), {"code": error.code, "message": str(error)}
        _LOGGER.error("model %r cannot be installed (%s): %s", job.name, error.code, error)
    job.state = state


def check_precision(precision: str) -> str:
    """A precision that the converter knows.

    Raises:
        BadRequest: it is another.
    """
    if precision not in PRECISIONS:
        limit = list(PRECISIONS)
        raise BadRequest(f"precision: must be one of {limit}", param="precision", limit=limit)
    return precision


def _copy_whole(source: Path, target: Path) -> None:
    folder = ModelFolder.read(source)
    copy_model(source, target, [*folder.files, "model.json"])
    ModelFolder.read(target).check_hashes()


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
