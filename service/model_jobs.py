"""Installing models, in a process beside the service.

Only a whole model is moved out of a job's folder, by one rename, so whatever is killed whenever
leaves the models as they were.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from engines.model_folder import PRECISIONS, ModelFolder
from engines.spec import OFFICIAL_FILES, OFFICIAL_REPOSITORY
from service.box import Box
from service.converter import Converter
from service.durable import write_file
from service.errors import BadRequest
from service.installed_model import ABOUT, about_file
from service.job_runner import JobRunner
from service.model_errors import NothingInTheBox
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

_LOGGER = logging.getLogger(__name__)
DOWNLOADS = ".downloads"
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+=-]{0,99}")


class ModelJobs(JobRunner):
    """Installs models.

    Args:
        store: where they go.
        incoming: folder from which models may be installed by the name of a folder in it; what
            converts them lies beside it, in the data folder.
        hub: address of the hub; empty for the library's own.

    Attributes:
        box: what came in the package.
        unboxed: called once its model is installed, on a thread of its own.
    """

    def __init__(self, store: ModelStore, incoming: Path, hub: str = "") -> None:
        super().__init__(store.folder)
        self._store = store
        self.incoming = incoming
        self.converter = Converter(incoming.parent)
        self.box = Box()
        self.unboxed: Callable[[], None] = lambda: None
        self._hub = hub

    def start_upload(self, job: InstallJob, precision: str) -> None:
        """Install what lies in the job's folder under the names of `model_files.UPLOADS`."""

        async def prepare() -> None:
            await self._bring_converter(job)
            given = job.work / SHARED
            await self._convert(job, job.work / T2S, job.work / SOVITS, given, precision)
            await asyncio.to_thread(keep_shared, given, self._base)

        self._start(job, prepare)

    def start_folder(self, name: str, folder: str, precision: str) -> InstallJob:
        """Install a folder of the incoming ones: a converted model, or official files.

        Raises:
            BadRequest: there is no such folder, or it holds neither.
            ConverterMissing: it holds official files, and nothing here converts them.
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
        if pair is not None:
            self.converter.check()
        job = self.begin("folder", name)

        async def prepare() -> None:
            if pair is None:
                job.at("copy", 0, "copying the converted model")
                await asyncio.to_thread(_copy_whole, folder, job.work / "model")
            else:
                await self._bring_converter(job)
                await self._convert(job, *pair, folder, precision)

        self._start(job, prepare)
        return job

    def start_box(self, name: str) -> InstallJob:
        """Install the model that came in the package, and its voice; nothing is downloaded.

        Raises:
            NothingInTheBox: no model came.
            TooManyJobs, StorageFailed: see `begin`.
        """
        if not self.box.is_there:
            raise NothingInTheBox("source: this package brings no model", param="source")
        job = self.begin("box", name)

        async def work() -> None:
            job.at("copy", 0, "unpacking the model")
            await asyncio.to_thread(self.box.unpack, job.work / "model")
            await self._install(job)
            await asyncio.to_thread(self.unboxed)

        self.start(job, work)
        return job

    def start_download(
        self, name: str, version: str, precision: str, *, chinese: bool
    ) -> InstallJob:
        """Download the official files of a version and install them.

        What has come stays until the model is installed: another try goes on from there.

        Raises:
            ConverterMissing: nothing here converts them.
            TooManyJobs, StorageFailed: see `begin`.
        """
        self.converter.check()
        job = self.begin("hub", name)

        async def prepare() -> None:
            await self._bring_converter(job)
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

    @property
    def _base(self) -> Path:
        return self._store.folder / BASE

    def _start(self, job: InstallJob, prepare: Callable[[], Awaitable[None]]) -> None:
        async def work() -> None:
            await prepare()
            await self._install(job)

        self.start(job, work)

    async def _install(self, job: InstallJob) -> None:
        job.at("install", 100, "checking and moving the model")
        about = about_file(job.name, job.created, job.source)
        await asyncio.to_thread(write_file, job.work / "model" / ABOUT, about)
        model = await asyncio.to_thread(self._store.install, job.work / "model", job.name)
        job.model, job.message = model.id, "installed"
        _LOGGER.info("model %r is installed as %s", job.name, model.id)

    async def _bring_converter(self, job: InstallJob) -> None:
        # Before anything else that takes long: where it cannot be had, nothing else is of use.
        if self.converter.state != "here":
            job.at("fetch", 0, "PyTorch, which converts official files: about 200 MB, once")
            await self.converter.bring()

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
