"""What can be wrong with asking for a model or changing the models."""

from __future__ import annotations

from service.errors import Busy, ServiceError


class ModelNotFound(ServiceError):
    """No installed model has that id."""

    code = "model_not_found"
    status = 404


class ModelFixed(ServiceError):
    """The model belongs to the settings and not to the data folder."""

    code = "model_fixed"
    status = 409


class ModelInUse(ServiceError):
    """The model has traffic."""

    code = "model_in_use"
    status = 409


class NothingToRollBack(ServiceError):
    """The model has no traffic, or there was none before it."""

    code = "nothing_to_roll_back"
    status = 409


class ModelUnusable(ServiceError):
    """The model's files are damaged, or it cannot be loaded."""

    code = "model_unusable"
    status = 409


class NoCard(ServiceError):
    """Only a graphics card needs engines, and none speaks here."""

    code = "no_card"
    status = 409


class TooManyModels(ServiceError):
    """As many models as there may be are there."""

    code = "too_many_models"
    status = 409


class JobNotFound(ServiceError):
    """No such installation is known, or no longer."""

    code = "job_not_found"
    status = 404


class TooManyJobs(Busy):
    """As many installations wait as may wait."""

    code = "too_many_jobs"


class InstallFailed(ServiceError):
    """A model could not be installed; `code` is the reason's own where it has one."""

    code = "install_failed"
    status = 422


class NothingInTheBox(ServiceError):
    """The package was built without a model."""

    code = "nothing_in_the_box"
    status = 404


class ConverterMissing(ServiceError):
    """Official files need PyTorch to be converted, which is not here and cannot be fetched."""

    code = "converter_missing"
    status = 409


class ConverterFailed(InstallFailed):
    """PyTorch could not be fetched."""

    code = "converter_failed"


class ChildKilled(InstallFailed):
    """The process that worked on a model was killed, or crashed."""
