"""The models of this house: converted GPT-SoVITS models, each a folder, and who of them speaks."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from engines.errors import CheckpointError
from service.durable import hide_folder, recover, sync_folder
from service.installed_model import (
    InstalledModel,
    read_external,
    read_installed,
    read_model,
    slug_of,
)
from service.model_errors import (
    ModelFixed,
    ModelInUse,
    ModelNotFound,
    ModelUnusable,
    NothingToRollBack,
    TooManyModels,
)
from service.model_traffic import Traffic, read_traffic, write_traffic
from service.voice import StorageFailed

_LOGGER = logging.getLogger(__name__)
MAX_MODELS = 100
# Routes and words that are no model's id, and what OpenAI's clients send as `model`.
_RESERVED = {"default", "jobs", "plain", "rollback", "traffic"}
FOREIGN = re.compile(r"(tts|gpt)-.*")


class ModelStore:
    """All installed models; safe to use from several threads, writing blocks.

    Args:
        folder: where they are; made when missing. What is not a model in it is left alone.
        setting: the setting `model`: a converted folder, or the id of an installed model; it has
            all the traffic from when it is first set. Empty for none; None where this is not the
            service that speaks, and the traffic is not ours to change.

    Attributes:
        changed: called after any change, on the thread that made it.
        failure: which model that was to speak is no whole one, and why, for a person; None where
            all are. The house speaks without it.
    """

    def __init__(self, folder: Path, setting: str | None = "") -> None:
        self.folder = folder
        self.changed: Callable[[], None] = lambda: None
        self._setting = setting
        self._lock = threading.RLock()
        self._skipped: dict[str, str] = {}
        self._models: dict[str, InstalledModel] = {}
        self._own: InstalledModel | None = None
        self._setting_failure: str | None = None
        self._lost: set[str] = set()  # had traffic when they were seen last
        try:
            with self._writing():
                for _, gone in recover(folder):
                    shutil.rmtree(gone)
        except StorageFailed as error:
            _LOGGER.error("models cannot be written: %s", error)
        self._models = self._read_folders()
        if setting and setting not in self._models:
            self._read_setting(setting)
        self.traffic = self._read_traffic()

    @property
    def failure(self) -> str | None:
        """See the class."""
        return self._setting_failure or next(
            (
                f"model {name}: {self._skipped[name]}"
                for name in self._lost
                if name in self._skipped
            ),
            None,
        )

    def all(self) -> list[InstalledModel]:
        """Every model, by name."""
        return sorted(self._models.values(), key=lambda each: (each.name.casefold(), each.id))

    def find(self, model_id: str) -> InstalledModel:
        """The model with this id.

        Raises:
            ModelNotFound: there is none; the message names those that there are.
        """
        try:
            return self._models[model_id]
        except KeyError:
            known = ", ".join(list(self._models)[:20]) or "none yet"
            message = f"model: there is no model {model_id[:80]!r}; installed: {known}"
            raise ModelNotFound(message, param="model") from None

    def get(self, model_id: str | None) -> InstalledModel | None:
        """The model with this id, None where there is none."""
        return self._models.get(model_id or "")

    def refresh(self) -> None:
        """See what another process (`install-model`) installed, or a person took out."""
        with self._lock:
            before = self._models
            found = self._read_folders(before)
            if self._own is not None:
                found[self._own.id] = self._own
            gone = set(before) - set(found)
            self._models = found
            for model_id in gone:
                self._lost |= {model_id} & self.traffic.weights.keys()
                self.traffic = self.traffic.without(model_id)
            if fresh := set(found) - set(before):
                if fresh & self._lost:
                    self.traffic = self._read_traffic()  # as it was before they broke
                self._lost -= fresh
                self._first_speaks()
            if gone or fresh:
                self.changed()

    def install(self, prepared: Path, name: str) -> InstalledModel:
        """Put a converted folder, with its `about.json`, in its place under an id of its own.

        Raises:
            ModelUnusable: it is not a whole model.
            TooManyModels: one must be deleted first.
            StorageFailed: it could not be moved; nothing has changed.
        """
        with self._writing():
            if len(self._models) >= MAX_MODELS:
                message = f"model: there are {MAX_MODELS} models; delete one first"
                raise TooManyModels(message, limit=MAX_MODELS)
            model_id = self._free_id(name)
            try:
                read_model(prepared, model_id)
            except CheckpointError as error:
                raise ModelUnusable(str(error), param="model") from error
            sync_folder(prepared)
            prepared.rename(self.folder / model_id)
            sync_folder(self.folder)
            self._models[model_id] = read_model(self.folder / model_id, model_id)
            self._first_speaks()
        self.changed()
        return self._models[model_id]

    def delete(self, model_id: str) -> None:
        """Delete a model for good.

        Raises:
            ModelNotFound, ModelFixed: there is no such model, or the settings name it.
            ModelInUse: it has traffic.
            StorageFailed: something could not be deleted; if the model is gone from the list, the
                next start deletes the rest.
        """
        with self._writing():
            model = self.find(model_id)
            if model is self._own or model_id == self._setting:
                message = f"model: the setting `model` names {model_id}; change it first"
                raise ModelFixed(message, param="model")
            if self.traffic.weights.get(model_id):
                message = (
                    f"model: {model_id} has {self.traffic.share(model_id):.0%} of the traffic; "
                    "promote another model first, or give traffic to none"
                )
                raise ModelInUse(message, param="model")
            gone = hide_folder(self.folder / model_id)
            del self._models[model_id]
            self._keep(self.traffic.without(model_id))
            self.changed()  # what still holds its files lets go of them
            shutil.rmtree(gone)

    def set_traffic(self, weights: Mapping[str, float], sticky: str | None = None) -> Traffic:
        """Share the speech anew; requests that are under way stay with their model.

        Args:
            weights: model id → weight; models that are not named get nothing.
            sticky: see `Traffic`; None leaves it.

        Raises:
            ModelNotFound: there is no such model.
            StorageFailed: it could not be kept; the old shares stand.
        """
        with self._writing():
            for model_id in weights:
                self.find(model_id)
            chosen = {each: share for each, share in weights.items() if share > 0}
            self._keep(self.traffic.to(chosen, sticky))
        self.changed()
        return self.traffic

    def promote(self, model_id: str) -> Traffic:
        """Give a model all the traffic; errors as `set_traffic`."""
        with self._lock:
            if self.traffic.weights.keys() == {self.find(model_id).id}:
                return self.traffic
            return self.set_traffic({model_id: 1.0})

    def rollback(self, model_id: str) -> Traffic:
        """Return to the shares from before a model got those that it has.

        Raises:
            ModelNotFound: there is no such model.
            NothingToRollBack: it has no traffic, or there was none before.
            StorageFailed: it could not be kept; the shares stand.
        """
        with self._writing():
            before = self.traffic.back()
            if not self.traffic.weights.get(self.find(model_id).id) or before is None:
                message = f"model: {model_id} has no traffic, or there was none before it"
                raise NothingToRollBack(message, param="model")
            self._keep(before)
        self.changed()
        return self.traffic

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold off other threads, and other processes that work on the same folder."""
        with self._lock:
            try:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                with (self.folder / ".lock").open("wb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    yield
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageFailed(f"the models cannot be written: {reason}") from error

    def _keep(self, traffic: Traffic) -> None:
        write_traffic(self.folder, traffic)
        self.traffic = traffic

    def _first_speaks(self) -> None:
        """Where nobody has traffic, the first model that comes gets it."""
        if self._setting is None or self.traffic.weights or len(self._models) != 1:
            return
        traffic = self.traffic.to({next(iter(self._models)): 1.0})
        self.traffic = traffic
        with contextlib.suppress(OSError):
            write_traffic(self.folder, traffic)

    def _read_traffic(self) -> Traffic:
        try:
            traffic = read_traffic(self.folder)
        except (OSError, ValueError) as error:
            _LOGGER.error("the shares of the models cannot be read: %s", error)
            traffic = Traffic()
        for model_id in {each for each in traffic.weights if each not in self._models}:
            self._lost.add(model_id)
            traffic = traffic.without(model_id)
        if (
            self._setting_failure is None
            and self._setting is not None
            and traffic.setting != self._setting
        ):
            traffic = replace(traffic, setting=self._setting)
            if self._setting:
                chosen = self._own.id if self._own is not None else self._setting
                traffic = traffic.to({chosen: 1.0})
            try:
                write_traffic(self.folder, traffic)
            except OSError as error:
                _LOGGER.error("the shares of the models cannot be kept: %s", error)
        # With a history, somebody has decided that nobody has traffic.
        if not traffic.weights and not traffic.history and len(self._models) == 1:
            traffic = traffic.to({next(iter(self._models)): 1.0})
        return traffic

    def _read_setting(self, setting: str) -> None:
        try:
            self._own = read_external(Path(setting), set(self._models))
            self._models[self._own.id] = self._own
        except CheckpointError as error:
            # A voice that is not the right one is better than none: the house starts without it.
            self._setting_failure = f"model: {error}"
            _LOGGER.error("the setting `model` cannot be followed: %s", error)

    def _read_folders(
        self, known: Mapping[str, InstalledModel] | None = None
    ) -> dict[str, InstalledModel]:
        try:
            names = sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        except OSError as error:
            _LOGGER.error("models cannot be read: %s", error)
            return dict(known or {})
        found: dict[str, InstalledModel] = {}
        for name in names:
            if name.startswith("."):
                continue
            try:
                found[name] = (known or {}).get(name) or read_installed(self.folder / name)
            except CheckpointError as error:
                if self._skipped.get(name) != str(error):
                    _LOGGER.warning("models/%s is left out: %s", name[:80], error)
                    self._skipped[name] = str(error)
        return found

    def _free_id(self, name: str) -> str:
        slug = slug_of(name)
        candidate, number = slug, 1
        while (
            candidate in _RESERVED
            or FOREIGN.fullmatch(candidate)
            or candidate in self._models
            or (self.folder / candidate).exists()
        ):
            number += 1
            candidate = f"{'model-' if FOREIGN.fullmatch(slug) else ''}{slug}-{number}"
        return candidate
