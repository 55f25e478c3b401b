"""A real platform process, as the tests start, kill and restart it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

_LONGEST_WAIT = 60.0


class RunningPlatform:
    """``python -m clouditia_jupyter.platform`` on a free port.

    Attributes
    ----------
    where
        What the ready line said.
    computing
        An HTTP client of the computing API that sends the account key.
    """

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.options = options
        self.log = state.with_name(f"{state.name}.log")
        self.where: dict[str, Any] = {}
        self._process: subprocess.Popen[str] | None = None
        self._clients: list[httpx.Client] = []
        self.start()

    def start(self, *options: str) -> None:
        """Start the process, again if it has ended, with further options."""
        arguments = ["--state", str(self.state), *self.options, *options]
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "clouditia_jupyter.platform", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        self.where = json.loads(line)
        self.computing = self._client(
            f"{self.where['computing_url']}/api/computing/", self.where["api_key"]
        )

    @property
    def environment(self) -> dict[str, str]:
        """What makes another process use this platform and its account."""
        return {
            "CLOUDITIA_API_KEY": self.where["api_key"],
            "CLOUDITIA_BASE_URL": self.where["computing_url"],
            "CLOUDITIA_EDITOR_URL": self.where["code_editor_url"],
        }

    def editor(self, key: str) -> httpx.Client:
        """Return an HTTP client of the code-editor API."""
        return self._client(f"{self.where['code_editor_url']}/api/", key)

    def anonymous(self) -> httpx.Client:
        """Return an HTTP client of the whole platform that sends no key."""
        return self._client(self.where["computing_url"].removesuffix("/jobs"), None)

    def _client(self, url: str, key: str | None) -> httpx.Client:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        client = httpx.Client(base_url=url, headers=headers, timeout=_LONGEST_WAIT, trust_env=False)
        self._clients.append(client)
        return client

    def create(self, **body: Any) -> dict[str, Any]:
        """Create a session and return it once it runs."""
        answer = self.computing.post("sessions/create/", json={"ram": 1, "vcpu": 1, **body})
        assert answer.status_code == 200, answer.text
        return self.wait(answer.json()["session"]["id"], "running")

    def stop_session(self, session_id: str) -> dict[str, Any]:
        """Stop a session and return it once it is stopped."""
        answer = self.computing.post("sessions/stop/", json={"session_id": session_id})
        assert answer.status_code == 200, answer.text
        return self.wait(session_id, "stopped")

    def wait(self, session_id: str, status: str) -> dict[str, Any]:
        """Return the session once it has this status, or fail when it can no longer get it."""
        seen = ""
        deadline = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < deadline:
            answer = self.computing.get(
                "sessions/status/",
                params={"session_id": session_id, "wait": 20, "seen": seen or "-"},
            )
            assert answer.status_code == 200, answer.text
            session: dict[str, Any] = answer.json()["session"]
            if session["status"] == status:
                return session
            assert session["status"] not in ("failed", "stopped"), session
            seen = f"{session['status']}:{session['creation_step']}"
        raise AssertionError(f"session {session_id} is still {seen}, not {status}")

    def key(self, session_id: str) -> str:
        """Return a new key for the session."""
        answer = self.computing.post(
            "sessions/generate-key/", json={"session_id": session_id, "name": "test"}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["api_key"])

    def pod_pid(self, session_id: str) -> int:
        """Return the process id of the session's pod."""
        verified = self.editor(self.key(session_id)).get("verify/").json()
        port = httpx.URL(verified["direct"]["url"]).port
        for process in self._pods():
            if any(c.laddr.port == port for c in process.net_connections() if c.status == "LISTEN"):
                return int(process.pid)
        raise AssertionError(f"no pod listens on {port}")

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to end and return its exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self.wait_exit()

    def kill(self) -> None:
        """End the process as if the machine had no mercy."""
        self.terminate(signal.SIGKILL)

    def wait_exit(self) -> int:
        """Return the exit code once the process has ended."""
        assert self._process is not None and self._process.stdout is not None
        code = self._process.wait(_LONGEST_WAIT)
        self._process.stdout.close()
        return code

    def close(self) -> None:
        """End the platform, and every pod on its state folder."""
        for client in self._clients:
            client.close()
        if self._process is not None and self._process.poll() is None:
            self.kill()
        pods = self._pods()
        for process in pods:
            process.kill()
        psutil.wait_procs(pods, _LONGEST_WAIT)

    def _pods(self) -> list[psutil.Process]:
        """Return the processes that work in this state folder."""
        mine = [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid != os.getpid()
            and any(str(self.state) in word for word in process.info["cmdline"] or ())
        ]
        return [process for process in mine if process.is_running()]
