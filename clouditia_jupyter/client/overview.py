"""An account at a glance: sessions, offer, queue, money and what runs, read again and again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.client.account import API
from clouditia_jupyter.errors import ClouditiaError
from clouditia_jupyter.models import (
    LIVE_STATUSES,
    GPUInventory,
    GPUSession,
    QueueAttempt,
    QueueJob,
    decode,
    parse_time,
)

if TYPE_CHECKING:
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.client.manager import GPUManager

#: Seconds that one look may take; the next one comes soon enough.
TIMEOUT = 10.0
#: The stock service's costs and balance do not come in one answer: less than this is no change.
_SAME_EUR = 0.005
#: Seconds by which two clocks may seem to drift before it is believed.
_SAME_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ClockHands:
    """A moment on the service's clock, and on this machine's, in Unix time."""

    there: datetime
    here: float
    rate: float = 1.0

    def local(self, when: datetime) -> float:
        """Return the service's ``when`` as Unix time of this machine."""
        return self.here + (when - self.there).total_seconds() / self.rate

    def agree(self, other: ClockHands) -> bool:
        """Say whether both tell the same time, but for a network's jitter."""
        return self.rate == other.rate and abs(self.local(other.there) - other.here) < _SAME_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The account as it was when the service last said that something had changed.

    Attributes
    ----------
    credit
        EUR before the running sessions are charged.
    sessions
        Those that live, then those that have ended, each newest first. Their ``cost`` is that of
        the moment ``cost_since``, from which on it grows by ``hourly_rate``.
    tickets, attempts
        The queue; and the last tries to serve each ticket, by its id.
    activity
        By session id: ``runs`` (latest first) and ``use`` (``cpu_percent``, ``memory_bytes``,
        ``gpus``). On the stock service, of the sessions that cells have run in from here.
    hands
        How the service's clock stands to this machine's.
    """

    user: Mapping[str, Any]
    credit: float
    currency: str
    sessions: tuple[GPUSession, ...]
    inventory: tuple[GPUInventory, ...]
    tickets: tuple[QueueJob, ...]
    attempts: Mapping[str, tuple[QueueAttempt, ...]]
    activity: Mapping[str, Mapping[str, Any]]
    hands: ClockHands

    def spent(self, session: GPUSession, at: float) -> float:
        """Return the EUR that a session has cost at Unix time ``at``, never above its limit."""
        cost = session.cost or 0.0
        if session.cost_since is not None:
            elapsed = max(at - self.hands.local(session.cost_since), 0.0)
            cost += (session.hourly_rate or 0.0) * self.hands.rate * elapsed / 3600
        return cost if session.cost_limit is None else min(cost, session.cost_limit)

    def balance(self, at: float) -> float:
        """Return the EUR that are left at Unix time ``at``."""
        growing = (s for s in self.sessions if s.cost_since is not None)
        return max(0.0, self.credit - sum(self.spent(session, at) for session in growing))


@dataclass
class Lookout:
    """Looks at one account, and remembers what it saw.

    Parameters
    ----------
    manager
        Of the account.
    opened
        Returns the sessions that are open here, by id: where the service does not say what they
        run and use, they are asked.
    """

    manager: GPUManager
    opened: Callable[[], Mapping[str, LiveSession]] = dict
    _tag: str = ""
    _last: Overview | None = None
    _decoded: dict[str, tuple[Any, GPUSession]] = field(default_factory=dict)

    @property
    def cheap(self) -> bool:
        """Whether a look is one request; the stock service takes several."""
        return "overview" in self.manager.capabilities

    def look(self) -> Overview:
        """Return the account as it is now: the very same object where nothing has changed.

        Raises
        ------
        ClouditiaError
            If the service does not answer, or refuses the key; nothing is tried twice.
        """
        seen = self._one_answer() if self.cheap else self._composed()
        if self._last is None or seen != self._last:
            self._last = seen
        return self._last

    def _one_answer(self) -> Overview:
        found = self.manager.transport.changed(f"{API}/overview/", self._tag, timeout=TIMEOUT)
        if found is None:
            assert self._last is not None, "a tag comes with an answer"
            return self._last
        tag, answer = found
        queue = answer.get("queue") or ()
        overview = Overview(
            user=answer.get("user") or {},
            credit=float(answer.get("credit") or 0.0),
            currency=str(answer.get("currency") or "EUR"),
            sessions=self._sessions(answer.get("sessions") or ()),
            inventory=tuple(decode(GPUInventory, one) for one in answer.get("inventory") or ()),
            tickets=tuple(decode(QueueJob, one) for one in queue),
            attempts={
                str(one["queue_id"]): tuple(
                    decode(QueueAttempt, each) for each in one.get("attempts") or ()
                )
                for one in queue
            },
            activity=answer.get("activity") or {},
            hands=self._hands(answer.get("now"), float(answer.get("clock_rate") or 1.0)),
        )
        self._tag = tag  # only of an answer that could be read
        return overview

    def _hands(self, now: str | None, rate: float) -> ClockHands:
        here = time.time()
        hands = ClockHands(parse_time(now) or _utc(here), here, rate)
        if self._last is not None and self._last.hands.agree(hands):
            return self._last.hands
        return hands

    def _sessions(self, answers: Any) -> tuple[GPUSession, ...]:
        """Return the sessions; one whose answer is that of the last look, as it was made then."""
        before, self._decoded = self._decoded, {}
        for answer in answers:
            known = before.get(answer["id"])
            same = known is not None and known[0] == answer
            session = known[1] if known and same else GPUSession.from_wire(answer)
            self._decoded[answer["id"]] = (answer, session)
        return tuple(session for _, session in self._decoded.values())

    def _composed(self) -> Overview:
        """Return the same, put together from what the stock service answers."""
        manager = self.manager
        costs = {
            cost["session_id"]: cost for cost in manager.get_active_sessions_cost()["sessions"]
        }
        here = time.time()
        hands = self._last.hands if self._last is not None else ClockHands(_utc(here), here)
        before = {s.id: s for s in self._last.sessions} if self._last is not None else {}
        found = [
            self._priced(session, costs.get(session.id), before.get(session.id), here)
            for session in manager.list_sessions()
        ]
        found.sort(key=lambda session: session.status not in LIVE_STATUSES)
        balance = manager.get_balance()
        tickets = tuple(manager.list_queue_jobs())
        overview = Overview(
            user=manager.user,
            credit=0.0,
            currency=balance["currency"],
            sessions=tuple(found),
            inventory=tuple(manager.get_inventory()),
            tickets=tickets,
            attempts=self._attempts(tickets),
            activity=self._asked(found),
            hands=hands,
        )
        running = sum(overview.spent(s, here) for s in found if s.cost_since is not None)
        credit = balance["balance"] + running
        if self._last is not None and abs(self._last.credit - credit) < _SAME_EUR:
            credit = self._last.credit
        return dataclasses.replace(overview, credit=credit)

    def _asked(self, sessions: list[GPUSession]) -> dict[str, Mapping[str, Any]]:
        opened, known = self.opened(), self._last.activity if self._last is not None else {}
        activity: dict[str, Mapping[str, Any]] = {}
        for session in sessions:
            if session.status == "running" and session.id in opened:
                try:
                    said = opened[session.id].glance()
                    activity[session.id] = {"runs": said["runs"], "use": said["use"]}
                except (ClouditiaError, KeyError):  # its cells say what is wrong
                    if session.id in known:
                        activity[session.id] = known[session.id]
        return activity

    def _priced(
        self, session: GPUSession, cost: Any, before: GPUSession | None, here: float
    ) -> GPUSession:
        if cost is None:  # it does not run: what it cost is what was seen last
            last = before.cost if before is not None else None
            if before is not None and before.cost_since is not None and self._last is not None:
                last = self._last.spent(before, here)
            return dataclasses.replace(session, cost=last)
        priced = dataclasses.replace(
            session,
            cost=float(cost["cost"]),
            hourly_rate=float(cost["hourly_rate"]),
            cost_since=_utc(here),
        )
        if before is None or self._last is None or before.hourly_rate != priced.hourly_rate:
            return priced
        if abs(self._last.spent(before, here) - float(cost["cost"])) >= _SAME_EUR:
            return priced
        return dataclasses.replace(priced, cost=before.cost, cost_since=before.cost_since)

    def _attempts(self, tickets: tuple[QueueJob, ...]) -> dict[str, tuple[QueueAttempt, ...]]:
        """Return the tries to serve each waiting ticket, asking only where there are new ones."""
        known = self._last.attempts if self._last is not None else {}
        attempts = {}
        for ticket in tickets:
            have = known.get(ticket.queue_id, ())
            if ticket.status == "pending" and len(have) != ticket.attempt_count:
                have = tuple(self.manager.get_queue_job(ticket.queue_id)["attempts"])
            attempts[ticket.queue_id] = have
        return attempts


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
