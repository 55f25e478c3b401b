"""The service in use: its manager, the current session, and the live sessions that were opened."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from clouditia_jupyter.errors import (
    AmbiguousIdError,
    APIError,
    ClouditiaError,
    ConnectionFailedError,
    SessionNotFoundError,
    SessionStateError,
)
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook import resolve, starter
from clouditia_jupyter.notebook.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.client.manager import GPUManager
    from clouditia_jupyter.config import Service, Settings
    from clouditia_jupyter.models import GPUSession


class Connection:
    """What one notebook has open.

    Parameters
    ----------
    settings
        Say which service it is; a change of them counts from the next command.

    Attributes
    ----------
    settings
        As given.
    current
        The full id of the session that cells run in; None where none was chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self.current: str | None = None
        self.settings = settings
        self._service: Service | None = None
        self._manager: GPUManager | None = None
        # our own session keys stay in here
        self._lives: dict[str, LiveSession] = {}
        self._known: dict[str, GPUSession] = {}
        self._meters: dict[str, Meter] = {}

    @property
    def service(self) -> Service:
        """The service that :meth:`open` connected to last."""
        assert self._service is not None, "nothing is open yet"
        return self._service

    def open(self, *, start: bool = True) -> GPUManager:
        """Return the manager for the service that the settings name now.

        A local platform is found again where it came back at another port.

        Parameters
        ----------
        start
            Whether to start a local platform where none runs.

        Raises
        ------
        ClouditiaError
            If there is no such service, or it refuses the key.
        """
        named = self.settings.remote_service()
        folder = self.settings.state_folder()
        if self._manager is not None and self._service == (named or starter.find(folder)):
            return self._manager
        if named is None and not start and starter.find(folder) is None:
            raise ConnectionFailedError("The platform of this machine does not run now.")
        before = self._service
        self.close()
        if named is None:
            service = starter.find_or_start(folder)
            try:
                manager = self._connect(service)
            except (APIError, ConnectionFailedError):
                # somebody else listens where a killed platform did
                service = starter.find_or_start(folder, besides=service)
                manager = self._connect(service)
        else:
            service = named
            manager = self._connect(service)
        if before is not None and not (before.local and service.local):
            self.current = None
        self._service, self._manager = service, manager
        return manager

    def _connect(self, service: Service) -> GPUManager:
        # not at the top: a platform that has to start does so while this loads
        from clouditia_jupyter.client.manager import GPUManager

        return GPUManager(service.api_key, service.computing_url, self.settings.timeout)

    def close(self) -> None:
        """Close what is open; sessions and the platform run on."""
        for live in self._lives.values():
            live.close()
        self._lives.clear()
        self._known.clear()
        self._meters.clear()
        if self._manager is not None:
            self._manager.close()
            self._manager = None

    def session(self, word: str | None = None) -> GPUSession:
        """Return the session that ``word`` means; without one, the current or the only one.

        Raises
        ------
        SessionNotFoundError, AmbiguousIdError, SessionStateError
            If that is none or several.
        """
        manager = self.open()
        if word is not None:
            return resolve.session(manager.list_sessions(), word)
        if self.current is not None:
            try:
                return manager.get_session(self.current)
            except SessionNotFoundError:
                self.current = None
        return resolve.only_running(manager.list_sessions())

    def sessions(self, words: Sequence[str]) -> list[GPUSession]:
        """Return the running sessions that ``words`` mean, in that order; ``all`` means all.

        Raises
        ------
        UsageError
            If a word means none or several, or two words the same one.
        SessionNotFoundError
            If all are meant and none runs.
        SessionStateError
            If one does not run.
        """
        known = self.open().list_sessions()
        if list(words) == ["all"]:
            running = [session for session in known if session.status == "running"]
            found = sorted(running, key=resolve.label)
            if not found:
                resolve.only_running(found)
        else:
            try:
                found = [resolve.session(known, word) for word in words]
            except (SessionNotFoundError, AmbiguousIdError) as error:
                raise UsageError(str(error)) from None
        for number, session in enumerate(found):
            if session.id in (other.id for other in found[:number]):
                raise UsageError(f"--on names session {resolve.label(session)} twice")
            self.require_running(session)
            self._keep(session.id, session)
        return found

    def live(self, word: str | None = None) -> tuple[GPUSession, LiveSession]:
        """Return a session to run code in; after the first time, without a request.

        Raises
        ------
        SessionStateError
            If it does not run, with the next step.
        """
        cached = self.current if word is None else word
        session = None if cached is None else self._known.get(cached)
        if session is None:
            session = self.session(word)
            self.require_running(session)
            if word is None:
                self.choose(session)
            else:
                self._keep(word, session)
        live = self._lives.get(session.id)
        if live is None:
            from clouditia_jupyter.client.live import LiveSession

            key = self.open().generate_sdk_key(session.id, name="notebook cells")
            live = LiveSession(key, self.service.editor_url, self.settings.timeout)
            self._lives[session.id] = live
        return session, live

    def choose(self, session: GPUSession) -> None:
        """Make a session the current one."""
        self.current = session.id
        if session.status == "running":
            self._keep(session.id, session)

    def _keep(self, word: str, session: GPUSession) -> None:
        self._known[word] = session
        self._meters[session.id] = Meter.of_session(session)

    def meter(self, session: GPUSession) -> Meter:
        """Return what a session costs, as it is reckoned here from what the service said of it.

        Asks the service at most once a session, and only one whose sessions do not carry a price.
        """
        meter = self._meters.get(session.id) or Meter.of_session(session)
        if meter.per_hour is None:
            with suppress(ClouditiaError):
                meter = Meter.of_cost(self.open().get_session_cost(session.id))
        self._meters[session.id] = meter
        return meter

    def manager_now(self) -> GPUManager | None:
        """Return the manager if one is open already; asks nobody."""
        return self._manager

    def live_now(self) -> LiveSession | None:
        """Return the current session if cells have run in it already; asks nobody."""
        return None if self.current is None else self._lives.get(self.current)

    def lives_now(self) -> dict[str, LiveSession]:
        """Return the sessions that cells have run in, by id; asks nobody."""
        return dict(self._lives)

    def forget(self, session_id: str) -> None:
        """Drop what is kept of a session: it was stopped or renamed, or its key is no good."""
        live = self._lives.pop(session_id, None)
        if live is not None:
            live.close()
        self.forget_names(session_id)

    def forget_names(self, session_id: str) -> None:
        """Drop what is known of a session, and leave a cell alone that may be running in it."""
        self._known = {w: s for w, s in list(self._known.items()) if s.id != session_id}
        self._meters.pop(session_id, None)

    def require_running(self, session: GPUSession) -> None:
        if session.status == "running":
            return
        name = resolve.label(session)
        if session.status in LIVE_STATUSES:
            raise SessionStateError(
                f"Session {name} is {session.status}, and runs no cells now: "
                "%clouditia show says how far it is."
            )
        why = f" ({session.stop_reason})" if session.stop_reason else ""
        if self.current == session.id:
            self.current = None
        raise SessionStateError(
            f"Session {name} is {session.status}{why}: choose another with %clouditia use, or "
            "create one with %clouditia create."
        )
