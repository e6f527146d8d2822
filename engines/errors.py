"""What can go wrong in the engines; every error carries a stable `code`."""


class EngineError(Exception):
    """Base of all errors that `engines` raises on purpose."""

    code = "engine_error"


class CheckpointError(EngineError):
    """A model file is corrupt, foreign, unsafe or of an unsupported version."""

    code = "bad_checkpoint"


class ConvertError(EngineError):
    """A model cannot be converted to another form."""

    code = "convert_failed"


class TextError(EngineError):
    """A text cannot be spoken: empty, too long, or in a language that is not installed."""

    code = "bad_text"


class PromptError(EngineError):
    """A reference recording cannot serve as a voice."""

    code = "bad_reference"


class BackendUnavailableError(EngineError):
    """A backend's packages or hardware are missing on this machine."""

    code = "backend_unavailable"


class DeviceError(EngineError):
    """The device failed while it computed.

    Args:
        message: what failed.
        sticky: this process cannot use the device any more, only a new one can (after an illegal
            address a CUDA context stays broken until its process ends).
    """

    code = "device_failed"

    def __init__(self, message: str, *, sticky: bool = False) -> None:
        super().__init__(message)
        self.sticky = sticky


class OutOfMemoryError(DeviceError):
    """The device has no memory left for this request; a later or shorter one works."""

    code = "out_of_memory"
