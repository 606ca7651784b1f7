"""Every error that llmws raises on purpose: one sentence, and what helps.

    Error
    ├── SettingsError          a setting, path or command line that cannot be
    ├── MissingTool            a program or package that is not installed
    ├── ServiceError           the service cannot be reached or started
    │   ├── DataFolderHeld     another service holds the data folder
    │   ├── PortBusy           something else listens there
    │   └── VersionMismatch    client and service do not understand each other
    ├── RequestError           the service refused
    │   ├── InvalidRequest     400, 413, 422
    │   ├── NotAuthenticated   401
    │   ├── Forbidden          403
    │   ├── NotFound           404
    │   ├── Conflict           409
    │   ├── LimitReached       429: a budget or a rate is used up; `details` say when to come again
    │   └── Unavailable        503: not now, later (still installing, shutting down)
    ├── ProviderError          a model server refused, broke off or kept silent
    ├── MasterKeyError         a stored key cannot be read, or its master key not be used
    ├── StoreError             the database is damaged, locked or newer; the disk is full
    ├── DatasetError           a file, with the line that is wrong
    └── TrainingError          a fine-tune that cannot start, or did not end well

An error is the same everywhere: raised in the service, it travels as ``{"error": {"code", "message", "remedy",
"request_id"}}`` and is raised again, as the same class, by the client. A message must never hold a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class Error(Exception):
    """Something went wrong that a person can act on.

    Args:
        message: one sentence that says what happened.
        remedy: what to do about it; empty where nothing helps.
        code: a stable word for programs; each class has its own default.
        details: JSON-ready facts for programs (a line number, a path); never a secret.

    Example:
        >>> str(NotFound("There is no model 'gpt-9'.", remedy="See client.models()."))
        "There is no model 'gpt-9'. See client.models()."
    """

    code: str = "error"
    status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, remedy: str = "", code: str | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = dict(details or {})
        self.request_id: str | None = None
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def to_dict(self) -> dict[str, Any]:
        """The inside of the one JSON shape of an error."""
        told: dict[str, Any] = {"code": self.code, "message": self.message, "remedy": self.remedy}
        if self.details:
            told["details"] = self.details
        if self.request_id:
            told["request_id"] = self.request_id
        return told


class SettingsError(Error):
    code = "settings"
    status = 400


class MissingTool(Error):
    code = "missing_tool"


class ServiceError(Error):
    code = "service"
    status = 503


class DataFolderHeld(ServiceError):
    code = "data_folder_held"


class PortBusy(ServiceError):
    code = "port_busy"


class VersionMismatch(ServiceError):
    code = "version_mismatch"


class RequestError(Error):
    code = "request"
    status = 400


class InvalidRequest(RequestError):
    code = "invalid_request"
    status = 422


class NotAuthenticated(RequestError):
    code = "not_authenticated"
    status = 401


class Forbidden(RequestError):
    code = "forbidden"
    status = 403


class NotFound(RequestError):
    code = "not_found"
    status = 404


class Conflict(RequestError):
    code = "conflict"
    status = 409


class LimitReached(RequestError):
    """A budget, a rate or the number of calls at a time is used up.

    `details` hold ``retry_after_s`` where waiting helps, and ``resets_at``.
    """

    code = "limit_reached"
    status = 429


class Unavailable(RequestError):
    code = "unavailable"
    status = 503


class ProviderError(Error):
    """A model server refused, broke off or kept silent.

    `code` is one of ``provider_auth``, ``provider_balance``, ``provider_rate``, ``provider_context_length``,
    ``provider_content_filter``, ``provider_invalid``, ``provider_not_found``, ``provider_overloaded``,
    ``provider_network``, ``provider_timeout`` or ``provider`` where it did not say.
    """

    code = "provider"
    status = 502

    def __init__(self, message: str, *, retryable: bool = False, **more: Any) -> None:
        super().__init__(message, **more)
        self.retryable = retryable


class MasterKeyError(Error):
    code = "master_key"
    status = 503


class StoreError(Error):
    code = "store"
    status = 503


class DatasetError(Error):
    code = "dataset"
    status = 422


class TrainingError(Error):
    code = "training"
    status = 409


def _tree(cls: type[Error]) -> Iterator[type[Error]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _tree(child)


def from_dict(value: Mapping[str, Any], status: int = 500) -> Error:
    """The error that travelled as `value` (the inside of ``{"error": …}``), as the class that was raised.

    A code that no class has (a provider's, a newer service's) gives the class of its `status`.
    """
    code = str(value.get("code", "error"))
    classes = list(_tree(Error))
    found = next((cls for cls in classes if cls.code == code), None)
    if found is None and code.startswith("provider"):
        found = ProviderError
    if found is None:
        found = next((cls for cls in _tree(RequestError) if cls.status == status), Error)
    error = found(str(value.get("message", "The service reported an error.")), remedy=str(value.get("remedy", "")))
    error.code = code
    error.details = dict(value.get("details", {}))
    error.request_id = value.get("request_id")
    return error
