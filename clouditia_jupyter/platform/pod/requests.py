"""What the pod asks of a kernel process for itself, and what that answers."""

from __future__ import annotations

import ast
import asyncio
import json
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform.pod.message import Message

if TYPE_CHECKING:
    from clouditia_jupyter.platform.pod.channels import Channels


class Requests:
    """The requests to one process that have no answer yet.

    Parameters
    ----------
    channels
        The way to it.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._open: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._subshell: asyncio.Future[dict[str, Any]] | None = None

    def send(
        self, channel: str, msg_type: str, content: dict[str, Any]
    ) -> asyncio.Future[dict[str, Any]]:
        """Send a request; the future has its answer, or SessionLostError."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._open[self._channels.send(channel, msg_type, content)] = answer
        return answer

    def take(self, reply: Message) -> None:
        """Take a reply, to whomever it is."""
        answer = self._open.pop(reply.parent_id, None)
        if answer is not None and not answer.done():
            answer.set_result(json.loads(reply.content))

    def lose(self, reason: str) -> None:
        """Fail all that have no answer: none will come."""
        for answer in self._open.values():
            if not answer.done():
                answer.set_exception(SessionLostError(reason))
        self._open.clear()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, evaluated silently between two runs.

        Its repr must be a Python literal. Raises SessionLostError if the kernel dies or the
        expression fails.
        """
        content = {
            "code": "",
            "silent": True,
            "store_history": False,
            "user_expressions": {"value": expression},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        reply = await self.send("shell", "execute_request", content)
        value = (reply.get("user_expressions") or {}).get("value") or reply
        if value.get("status") != "ok":
            raise SessionLostError(f"{value.get('ename')}: {value.get('evalue')}")
        return ast.literal_eval(value["data"]["text/plain"])

    async def subshell(self) -> str | None:
        """Return the id of the subshell that works beside the runs; made when first asked for."""
        if self._subshell is None:
            self._subshell = self.send("control", "create_subshell_request", {})
        return (await asyncio.shield(self._subshell)).get("subshell_id")
