"""A user's program for the published ``clouditia-manager``; writes what it saw as JSON.

Runs in a process of its own with that package on its path: ``program.py URL KEY FILE``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from clouditia_manager import (
    AuthenticationError,
    GPUManager,
    InsufficientResourcesError,
    SessionNotFoundError,
    client,
)

# it sleeps whole seconds between polls, which nobody can set
client.time = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds / 20))

SMALL = {"vcpu": 1, "ram": 1, "storage": 1}


def plain(thing: Any) -> Any:
    """Return the attributes of what the client returned, to be written as JSON."""
    return {name: str(value) for name, value in vars(thing).items()}


def refused(kind: type[Exception], call: Any, *arguments: Any, **named: Any) -> str:
    """Return the message with which a call fails."""
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError(f"{call} did not raise {kind}")


def main(url: str, key: str) -> dict[str, Any]:
    """Use the client for everything that an account can do; return what it answered."""
    manager = GPUManager(api_key=key, base_url=url)
    seen: dict[str, Any] = {"user": manager.user}
    seen["bad_key"] = refused(AuthenticationError, GPUManager, "sk_compute_wrong", base_url=url)
    seen["inventory"] = [plain(item) for item in manager.get_inventory()]

    session = manager.create_session(
        gpu_type="nvidia-rtx-3090", cost_limit=5.0, duration_limit=3600, **SMALL
    )
    seen["created"] = plain(session)
    seen["got"] = plain(manager.get_session(session.short_id))
    seen["listed"] = [plain(item) for item in manager.list_sessions(status="running")]
    seen["renamed"] = plain(manager.rename_session(session.short_id, "mon-projet-ml-v1"))
    seen["unknown"] = refused(SessionNotFoundError, manager.get_session, "00000000")

    seen["insufficient"] = refused(
        InsufficientResourcesError,
        manager.create_session,
        gpu_type="nvidia-rtx-3090",
        verbose=False,
        **SMALL,
    )
    queued = manager.create_session(gpu_type="nvidia-rtx-3090", queue_if_unavailable=True, **SMALL)
    seen["queued"] = queued
    seen["tickets"] = [plain(job) for job in manager.list_queue_jobs(status="pending")]
    ticket = manager.get_queue_job(queued["queue_id"][:8], verbose=True)
    seen["ticket"] = plain(ticket["job"])
    seen["attempts"] = [plain(attempt) for attempt in ticket["attempts"]]
    seen["cancelled"] = manager.cancel_queue_job(queued["queue_id"])
    seen["ticket_after"] = plain(manager.get_queue_job(queued["queue_id"])["job"])

    seen["cost"] = manager.get_session_cost(session.short_id)
    seen["duration"] = manager.get_session_duration(session.short_id)
    seen["costs"] = manager.get_sessions_cost([session.short_id])
    seen["active"] = manager.get_active_sessions_cost()
    seen["key"] = manager.generate_sdk_key(session.short_id, name="Ma clé SDK")

    seen["stopped"] = plain(manager.stop_session(session.short_id))
    seen["active_after"] = manager.get_active_sessions_cost()
    seen["balance"] = manager.get_balance()
    return seen


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(main(*sys.argv[1:3])), encoding="utf-8")
