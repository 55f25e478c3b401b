"""Every exception that the package raises, and how each shows in a notebook.

::

    ClouditiaError
    ├── ConfigurationError            a setting, key or folder that cannot be used
    ├── ConnectionFailedError         no answer: also a builtin ConnectionError
    │   └── RequestTimeoutError       no answer in time: also a builtin TimeoutError
    ├── WaitTimeoutError              a session did not get where it was going in time
    ├── APIError                      the service answered, and the answer is no
    │   ├── InvalidRequestError       400
    │   │   ├── AmbiguousIdError      400, an id that fits several
    │   │   ├── SessionStateError     400, not possible in the session's present state
    │   │   ├── InsufficientResourcesError   400, GPUs not available
    │   │   └── InsufficientCreditError      400, balance used up
    │   ├── AuthenticationError       401
    │   ├── PermissionDeniedError     403
    │   │   └── CommandBlockedError   403 with a reason
    │   ├── NotFoundError             404
    │   │   ├── SessionNotFoundError
    │   │   ├── QueueJobNotFoundError
    │   │   └── JobNotFoundError
    │   ├── UnsupportedError          501, this platform does not do that
    │   └── ServiceUnavailableError   502, 503, or an HTML page instead of an answer
    ├── SessionLostError              the pod, or the kernel in it, is gone
    ├── ValueTransferError            a variable that cannot cross
    ├── RemoteError                   the code of a cell raised; also the builtin class it names
    └── RemoteErrors                  a cell failed in one or more of several sessions

An :class:`APIError` is the same thing on both ends: the platform raises it, one handler writes its
``code`` and ``status`` into the error envelope, and the client's transport makes the same class
of it again. The stock service sends no ``code``; there the status decides.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar


class ClouditiaError(Exception):
    """The root: catches everything that this package raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Show the message alone: our own frames say nothing to the author of a cell."""
        return [f"{type(self).__name__}: {self}"]


class ConfigurationError(ClouditiaError):
    """A setting, key or folder that cannot be used."""


class ConnectionFailedError(ClouditiaError, ConnectionError):
    """Nothing answered at the service's address.

    Attributes
    ----------
    may_have_acted
        Whether the request had gone out, so that the service may have done what it asked.
    """

    may_have_acted: bool = False


class RequestTimeoutError(ConnectionFailedError, TimeoutError):
    """The service did not answer in time; whether it acted is not known."""


class WaitTimeoutError(ClouditiaError, TimeoutError):
    """A session did not reach the awaited state in time; it goes on by itself."""


class APIError(ClouditiaError):
    """The service answered, and the answer is no.

    Parameters
    ----------
    message
        What happened and the next step.
    status
        The HTTP status of the answer; the class's own by default.
    details
        The other fields of the answer, such as ``available_gpus``.
    """

    status: int = 400
    code: ClassVar[str] = "error"

    def __init__(
        self, message: str, *, status: int | None = None, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.status = type(self).status if status is None else status
        self.details: dict[str, Any] = dict(details or {})


class InvalidRequestError(APIError):
    """An argument that the service refuses."""

    status = 400
    code = "invalid_request"


class AmbiguousIdError(InvalidRequestError):
    """A shortened id that fits more than one."""

    code = "ambiguous_id"


class SessionStateError(InvalidRequestError):
    """The session's present state does not allow this."""

    code = "session_state"


class InsufficientResourcesError(InvalidRequestError):
    """The GPUs asked for are not available now."""

    code = "insufficient_resources"

    @property
    def available_gpus(self) -> list[str]:
        """Slugs, of those asked for, that are available."""
        return list(self.details.get("available_gpus") or [])

    @property
    def unavailable_gpus(self) -> list[str]:
        """Slugs, of those asked for, that are not."""
        return list(self.details.get("unavailable_gpus") or [])


class InsufficientCreditError(InvalidRequestError):
    """The balance is used up."""

    code = "insufficient_credit"


class AuthenticationError(APIError):
    """The key is missing, malformed, expired or revoked."""

    status = 401
    code = "authentication"


class PermissionDeniedError(APIError):
    """The key is good, but not for this."""

    status = 403
    code = "permission_denied"


class CommandBlockedError(PermissionDeniedError):
    """The service refuses to run this command; ``reason`` says why."""

    code = "command_blocked"

    @property
    def reason(self) -> str:
        """Why, in the service's words; empty where it gave none."""
        return str(self.details.get("reason") or "")


class NotFoundError(APIError):
    """Nothing has this id."""

    status = 404
    code = "not_found"


class SessionNotFoundError(NotFoundError):
    """No session has this id or name."""

    code = "session_not_found"


class QueueJobNotFoundError(NotFoundError):
    """No ticket in the queue has this id."""

    code = "queue_job_not_found"


class JobNotFoundError(NotFoundError):
    """No run or job of the session has this id."""

    code = "job_not_found"


class UnsupportedError(APIError):
    """This platform does not do that."""

    status = 501
    code = "unsupported"


class ServiceUnavailableError(APIError):
    """The service is restarting or overloaded; the same call may work later."""

    status = 503
    code = "service_unavailable"


class SessionLostError(ClouditiaError):
    """The pod, or the kernel in it, is gone, and the session's variables with it."""


class ValueTransferError(ClouditiaError):
    """A variable that cannot be sent or fetched."""


def _subclasses(cls: type[APIError]) -> list[type[APIError]]:
    return [cls, *(deep for sub in cls.__subclasses__() for deep in _subclasses(sub))]


BY_CODE: Mapping[str, type[APIError]] = {cls.code: cls for cls in _subclasses(APIError)}
BY_STATUS: Mapping[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    501: UnsupportedError,
    502: ServiceUnavailableError,
    503: ServiceUnavailableError,
    504: ServiceUnavailableError,
}


class RemoteError(ClouditiaError):
    """The code of a cell raised in the session.

    Made by :func:`remote_error`, whose classes carry the name of the remote class, and are that
    class too where it is a builtin one.

    Attributes
    ----------
    ename, evalue
        Class name and message of the remote exception.
    remote_traceback
        Its traceback as IPython coloured it in the session, one string a frame.
    """

    ename: str
    evalue: str
    remote_traceback: list[str]

    def __str__(self) -> str:
        return self.evalue

    def _render_traceback_(self) -> list[str]:
        return self.remote_traceback or [f"{self.ename}: {self.evalue}"]


@cache
def _remote_error_class(ename: str) -> type[RemoteError]:
    builtin = getattr(builtins, ename, None)
    # not BaseException's other children: a remote SystemExit must not end the local kernel
    if isinstance(builtin, type) and issubclass(builtin, (Exception, KeyboardInterrupt)):
        try:
            cls: type[RemoteError] = type(ename, (RemoteError, builtin), {"__module__": __name__})
            cls.__new__(cls)
        except TypeError:  # a builtin that does not combine, or cannot be made without arguments
            pass
        else:
            return cls
    return type(ename, (RemoteError,), {"__module__": __name__})


def remote_error(ename: str, evalue: str, traceback: Sequence[str] = ()) -> RemoteError:
    """Return the exception that stands for one raised in the session.

    Returns
    -------
    RemoteError
        Of a class named ``ename``; ``except ValueError`` catches a remote ``ValueError``.
    """
    cls = _remote_error_class(ename or "RemoteError")
    error = cls.__new__(cls)
    error.args = (evalue,)
    if isinstance(error, SyntaxError):
        error.msg = evalue
    error.ename, error.evalue, error.remote_traceback = ename, evalue, list(traceback)
    return error


class RemoteErrors(ClouditiaError):  # noqa: N818  (it stands for several)
    """A cell failed in one or more of the sessions that it ran in.

    Made by :func:`remote_errors`. Where it failed everywhere with the same builtin class, it is
    that class too.

    Attributes
    ----------
    errors
        What was raised, by the session's name.
    total
        In how many sessions it ran.
    """

    errors: dict[str, BaseException]
    total: int

    def __str__(self) -> str:
        failed = "; ".join(f"{name}: {_named(error)}" for name, error in self.errors.items())
        return f"failed in {len(self.errors)} of {self.total} sessions: {failed}"

    def _render_traceback_(self) -> list[str]:
        lines = []
        for name, error in self.errors.items():
            render = getattr(error, "_render_traceback_", lambda error=error: [_named(error)])
            lines += [f"── {name} ──", *render(), ""]
        return [*lines, f"RemoteErrors: {self}"]


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def remote_errors(errors: Mapping[str, BaseException], total: int) -> RemoteErrors:
    """Return the one exception that stands for those of several sessions."""
    builtin = {_builtin_of(error) for error in errors.values()}
    alike = len(builtin) == 1 and len(errors) == total
    cls = _remote_errors_class(builtin.pop() if alike else "")
    group = cls.__new__(cls)
    group.errors, group.total = dict(errors), total
    group.args = (str(group),)
    return group


def _builtin_of(error: BaseException) -> str:
    """Return the name of the builtin class that a remote error is; empty where it is none."""
    builtin = getattr(builtins, getattr(error, "ename", ""), None)
    return error.ename if isinstance(error, RemoteError) and _is(error, builtin) else ""


def _is(error: RemoteError, cls: Any) -> bool:
    return isinstance(cls, type) and isinstance(error, cls)


@cache
def _remote_errors_class(ename: str) -> type[RemoteErrors]:
    if not ename:
        return RemoteErrors
    bases = (RemoteErrors, getattr(builtins, ename))
    return type("RemoteErrors", bases, {"__module__": __name__})
