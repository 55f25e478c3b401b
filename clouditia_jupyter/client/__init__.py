"""The client: plain Python on httpx, for clouditia.com and for a platform of one's own."""

from clouditia_jupyter.client.events import EventStream
from clouditia_jupyter.client.live import LiveSession
from clouditia_jupyter.client.manager import GPUManager
from clouditia_jupyter.client.results import RunResult, ShellResult

__all__ = ["EventStream", "GPUManager", "LiveSession", "RunResult", "ShellResult"]
