"""Persistent Python namespaces of the code-editor API: each lives in a kernel of its own."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from pathlib import Path
from typing import Any

from clouditia_jupyter.errors import NotFoundError
from clouditia_jupyter.platform.pod.kernel import Kernel
from clouditia_jupyter.platform.pod.limits import Limits
from clouditia_jupyter.platform.pod.run import Run
from clouditia_jupyter.platform.pod.sandbox import Sandbox

#: So many runs of a namespace are known: what their threads print later comes with the next one.
_KEPT = 100
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Namespaces:
    """All persistent namespaces of a session."""

    def __init__(self, sandbox: Sandbox, folder: Path, log: Path) -> None:
        self._sandbox, self._folder, self._log = sandbox, folder, log
        self._kernels: dict[str, Kernel] = {}

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels that the namespaces live in."""
        return tuple(self._kernels.values())

    async def start(self, limits: Limits) -> str:
        """Start a namespace and return its ``persistent_id``."""
        persistent_id = str(uuid.uuid4())
        kernel = Kernel(self._sandbox, f"ns-{persistent_id[:8]}", self._log)
        await kernel.start(limits.expression())
        self._kernels[persistent_id] = kernel
        return persistent_id

    async def execute(self, persistent_id: str, code: str, timeout: float | None) -> dict[str, Any]:
        """Run ``code`` there and return the protocol's answer."""
        kernel = self._kernel(persistent_id)
        run = Run(uuid.uuid4().hex, code, self._folder)
        kernel.submit(run)
        reading = asyncio.create_task(_read(run))
        try:
            events = await asyncio.wait_for(asyncio.shield(reading), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            await kernel.interrupt(run)
            events = await reading
            return {**fold(events), "success": False, "error": f"Interrupted after {timeout:g} s."}
        finally:
            # nobody can ask for it again, and a value may be carried by thousands of them
            run.code = ""
            kernel.forget_all_but(_KEPT)
            (self._folder / f"{run.run_id}.ndjson").unlink(missing_ok=True)
        return fold(events)

    async def stop(self, persistent_id: str) -> None:
        """End a namespace; its variables are gone."""
        await self._kernel(persistent_id).kill()
        self._kernels.pop(persistent_id, None)

    async def close(self) -> None:
        """End them all."""
        await asyncio.gather(*(kernel.kill() for kernel in self._kernels.values()))

    def _kernel(self, persistent_id: str) -> Kernel:
        kernel = self._kernels.get(persistent_id)
        if kernel is None or kernel.pid is None:
            self._kernels.pop(persistent_id, None)
            raise NotFoundError(
                f"No persistent namespace has the id {persistent_id!r}. Start one: "
                "POST /api/session/start/."
            )
        return kernel


async def _read(run: Run) -> list[dict[str, Any]]:
    data = b"".join([chunk async for chunk in run.log.read(0, 3600.0)])
    return [json.loads(line) for line in data.splitlines()]


def fold(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that the protocol gives for a run: prints, then the last expression."""
    output, result, error = "", None, ""
    for event in events:
        content = event["content"]
        if event["type"] == "stream":
            output += content["text"]
        elif event["type"] == "display_data":
            output += content["data"].get("text/plain", "") + "\n"
        elif event["type"] == "execute_result":
            result = content["data"].get("text/plain")
            output += f"{result}\n"
        elif event["type"] == "error":
            error = _ANSI.sub("", "\n".join(content["traceback"])) or content["evalue"]
    return {"success": not error, "output": output, "result": result, "error": error}
