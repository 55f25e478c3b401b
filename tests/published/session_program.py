"""A user's program for the published ``clouditia``; writes what it saw as JSON.

Runs in a process of its own with that package on its path: ``program.py URL KEY FILE``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from clouditia import AuthenticationError, GPUSession

VALUE = {"rates": [0.1, 0.01], "name": "essai"}


def main(url: str, key: str) -> dict[str, Any]:
    """Use the client for everything that runs code; return what it answered."""
    gpu = GPUSession(api_key=key, base_url=url, poll_interval=0.05)
    seen: dict[str, Any] = {"verify": gpu.verify(), "ready": gpu.is_ready()}
    try:
        GPUSession(api_key="sk_live_wrong", base_url=url).verify()
    except AuthenticationError as error:
        seen["bad_key"] = str(error)

    seen["run"] = gpu.run("print('Hello GPU!')").to_dict()
    seen["raised"] = gpu.run("print('before')\n1 / 0").to_dict()
    seen["shell"] = gpu.shell("pwd && echo oops >&2").to_dict()

    job = gpu.submit("for epoch in range(3):\n    print('epoch', epoch)", name="training")
    seen["waited"] = job.wait(poll_interval=0.05).to_dict()
    seen["logs"] = job.logs(tail=2)
    seen["result"] = job.result().to_dict()
    seen["jobs"] = [{"id": item.job_id, "name": item.name} for item in gpu.jobs(status="completed")]
    seen["job"] = {"id": job.job_id, "status": job.status(), "duration": job.duration}
    endless = gpu.submit("import time\ntime.sleep(600)")
    seen["cancel"] = endless.cancel()
    seen["cancelled"] = endless.wait(poll_interval=0.05).to_dict()
    seen["cancelled_status"] = endless.status()

    seen["set"] = gpu.set("settings", VALUE)
    seen["get"] = gpu.get("settings")
    seen["start"] = gpu.start()
    gpu.run("a = 2", stream=False)
    seen["persistent"] = gpu.run("b = a * 5\nprint(b)", stream=False).to_dict()
    seen["persistent_error"] = gpu.run("undefined_name", stream=False).to_dict()
    seen["stop"] = gpu.stop()
    return seen


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(main(*sys.argv[1:3])), encoding="utf-8")
