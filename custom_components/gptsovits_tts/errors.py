"""What can go wrong with the service, and how Home Assistant tells it."""

from homeassistant.exceptions import HomeAssistantError, ServiceValidationError

from .const import DOMAIN


class GptSovitsError(Exception):
    """Base of everything that can go wrong with the service."""


class GptSovitsConnectionError(GptSovitsError):
    """The service does not answer, went away, or what answers is something else."""


class GptSovitsAuthError(GptSovitsError):
    """The service refuses the token."""


class GptSovitsRefusedError(GptSovitsError):
    """The service understood and refused; `code` is stable, the message names field and limit."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def refusal(status: int, answer: object) -> GptSovitsError:
    """The exception for an HTTP status of 400 and more, in the service's own words."""
    if status == 401:
        return GptSovitsAuthError("the service refuses the token")
    match answer:
        case {"error": {"code": str(code), "message": str(message)}}:
            return GptSovitsRefusedError(code, message, status)
    return GptSovitsRefusedError(f"http_{status}", f"HTTP status {status}", status)


def told(error: GptSovitsError) -> HomeAssistantError:
    """An error of the service as Home Assistant shows it; what the user wrote wrong is theirs."""
    placeholders = {"error": str(error)}
    match error:
        case GptSovitsAuthError():
            key = "invalid_auth"
        case GptSovitsRefusedError():
            key = "refused"
        case _:
            key = "cannot_connect"
    mistaken = isinstance(error, GptSovitsRefusedError) and error.status < 500
    kind = ServiceValidationError if mistaken else HomeAssistantError
    return kind(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )


def mistake(key: str, **placeholders: str) -> ServiceValidationError:
    """A user's mistake, in the user's language."""
    return ServiceValidationError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )
