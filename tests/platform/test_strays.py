"""Pods whose platform is gone: who lives on, who ends, and what stays of whom."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from clouditia_jupyter.models import CREATION_STEPS
from clouditia_jupyter.platform.archive import Archive
from clouditia_jupyter.platform.pod.__main__ import is_gone
from clouditia_jupyter.platform.pod.identity import Identity
from clouditia_jupyter.platform.pod.processes import runs
from tests.running import RunningPlatform

Start = Callable[..., RunningPlatform]
A = "nvidia-rtx-3090"
_SECONDS = 30.0


def pods(running: RunningPlatform) -> dict[Path, Identity]:
    """Return the pods that live on the platform's state."""
    found = {folder: Identity.read(folder) for folder in (running.state / "pods").iterdir()}
    return {folder: one for folder, one in found.items() if one and runs(one.pid, one.created)}


def become(running: RunningPlatform, count: int) -> dict[Path, Identity]:
    """Return the pods once there are so many."""
    deadline = time.monotonic() + _SECONDS
    while len(alive := pods(running)) != count and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(alive) == count, alive
    return alive


def folder_of(running: RunningPlatform, session_id: str) -> Path:
    pid = running.pod_pid(session_id)
    (found,) = (folder for folder, one in pods(running).items() if one.pid == pid)
    return found


def test_a_spare_pod_ends_with_its_platform_and_a_session_s_does_not(
    start_platform: Start,
) -> None:
    running = start_platform()
    made = running.create(gpu_type=A)
    own = folder_of(running, made["id"])
    become(running, 2)
    running.kill()
    assert list(become(running, 1)) == [own]
    running.start()
    assert running.wait(made["id"], "running")["started_at"] == made["started_at"]


def test_a_pod_that_no_session_has_is_ended_by_the_next_platform(start_platform: Start) -> None:
    running = start_platform("--spares", "1")
    (spare,) = become(running, 1).values()
    # as if it had been given a session that the platform had no time to note
    psutil.Process(spare.pid).suspend()
    running.kill()
    running.options = ("--spares", "0")
    running.start()
    become(running, 0)
    assert not Path(spare.runtime).exists()


def test_a_session_lives_on_when_its_state_folder_is_reached_by_another_path(
    start_platform: Start,
) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    pid = running.pod_pid(made["id"])
    running.kill()
    own, link = running.state, running.state.with_name("link")
    link.symlink_to(own)
    running.state = link
    running.start()
    running.state = own
    assert running.wait(made["id"], "running")["started_at"] == made["started_at"]
    assert running.pod_pid(made["id"]) == pid


def test_a_platform_killed_while_it_creates_leaves_one_pod_a_session(
    start_platform: Start,
) -> None:
    running = start_platform("--spares", "0", "--gpus", f"{A}=3")
    steps = ("validating", "waiting_ready", "ready")
    for number, step in enumerate(steps, 1):
        body = {"gpu_type": A, "ram": 1, "vcpu": 1}
        made = running.computing.post("sessions/create/", json=body).json()["session"]
        query = {"session_id": made["id"]}
        reached = made["creation_step"]
        while CREATION_STEPS.index(reached) < CREATION_STEPS.index(step):
            now = running.computing.get("sessions/status/", params=query).json()["session"]
            reached = now["creation_step"]
        running.kill()
        running.start()
        running.wait(made["id"], "running")
        become(running, number)
    (stock,) = running.computing.get("inventory/").json()["inventory"]
    assert stock["in_use"] == len(steps)


def test_a_pod_ends_when_its_folder_is_removed(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    pod = pods(running)[folder_of(running, made["id"])]
    running.kill()
    shutil.rmtree(running.state)
    psutil.Process(pod.pid).wait(_SECONDS)
    assert not Path(pod.runtime).exists()


def test_a_folder_that_cannot_be_looked_at_is_not_taken_for_removed(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert not is_gone(tmp_path / "loop")
    assert not is_gone(tmp_path)
    assert is_gone(tmp_path / "nothing")


def test_without_a_platform_a_session_ends_at_its_limit_and_is_billed_to_it(
    start_platform: Start,
) -> None:
    running = start_platform("--spares", "0", "--clock-rate", "36000", "--credit", "10000")
    free = running.create(gpu_type=A)
    limited = running.create(gpu_type=A, duration_limit=180_000)  # five real seconds
    pid = running.pod_pid(limited["id"])
    running.kill()
    process = psutil.Process(pid)
    process.wait(60)  # after the platform would have had its turn
    running.start()
    stopped = running.wait(limited["id"], "stopped")
    assert stopped["stop_reason"] == "duration_limit"
    assert stopped["cost"] == pytest.approx(0.98 * 50, abs=1e-5)
    running.wait(free["id"], "running")


def test_an_ended_session_leaves_what_its_runs_put_out(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    folder = folder_of(running, made["id"])
    runtime = Path(pods(running)[folder].runtime)
    code = "import tempfile; tempfile.mkstemp(); open('result.txt', 'w').close(); print('said')"
    answer = running.editor(running.key(made["id"])).post("runs/", json={"code": code})
    assert answer.status_code == 200, answer.text
    running.stop_session(made["id"])
    said = [path.read_text() for path in (folder / "runs").glob("*.ndjson")]
    assert any('"text":"said' in text or '"text": "said' in text for text in said)
    assert not (folder / "workspace").exists()
    assert not (folder / "tmp").exists()
    assert not runtime.exists()


def test_the_files_of_a_lost_session_stay(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    folder = folder_of(running, made["id"])
    running.editor(running.key(made["id"])).post(
        "runs/", json={"code": "open('result.txt', 'w').write('x')"}
    )
    psutil.Process(running.pod_pid(made["id"])).kill()
    running.wait(made["id"], "failed")
    assert (folder / "workspace" / "result.txt").read_text() == "x"


def test_a_running_session_learns_of_its_platform_s_new_address(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    key = running.key(made["id"])
    code = "import os; print(os.environ['CLOUDITIA_API_URL'])"
    namespace = running.editor(key).post("session/start/").json()["persistent_id"]

    def asked() -> list[str]:
        editor = running.editor(key)
        exec_body = {"persistent_id": namespace, "code": code}
        return [
            editor.post("runs/", json={"code": code}).text,
            editor.post("session/exec/", json=exec_body).json()["output"],
            editor.post("execute/", json={"code": code}).json()["output"],
        ]

    before = running.where["code_editor_url"]
    assert all(before in said for said in asked())
    running.kill()
    running.start()
    now = running.where["code_editor_url"]
    assert now != before
    deadline = time.monotonic() + _SECONDS
    while not all(now in said for said in asked()):
        assert time.monotonic() < deadline, asked()


def ended(archive: Archive, name: str, *, days_ago: float, size: int = 10) -> Path:
    folder = archive.folder / name
    (folder / "runs").mkdir(parents=True)
    (folder / "runs" / "a.ndjson").write_bytes(os.urandom(size))
    moment = time.time() - days_ago * 86_400
    os.utime(folder, (moment, moment))
    return folder


def test_what_is_too_old_or_has_no_room_goes_the_oldest_first(tmp_path: Path) -> None:
    archive = Archive(tmp_path, days=30, size=1 << 20)
    fresh = ended(archive, "fresh", days_ago=0.5, size=700_000)
    middle = ended(archive, "middle", days_ago=2, size=200_000)
    large = ended(archive, "large", days_ago=3, size=400_000)
    old = ended(archive, "old", days_ago=31)
    live = ended(archive, "live", days_ago=99, size=2_000_000)
    archive.trim({str(live)})
    assert [path.exists() for path in (fresh, middle, large, old, live)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_what_has_just_ended_stays_however_large_it_is(tmp_path: Path) -> None:
    archive = Archive(tmp_path, days=30, size=1000)
    folder = ended(archive, "one", days_ago=0.1, size=100_000)
    archive.trim(())
    assert folder.exists()


def test_another_account_s_pods_are_left_alone(tmp_path: Path) -> None:
    archive = Archive(tmp_path, days=30, size=1000)
    folder = ended(archive, "one", days_ago=0)
    Identity.own(tmp_path / "runtime", "somebody").write(folder)
    archive.end_strays("me", ())  # it would kill this very process
    assert folder.exists()


def test_what_cannot_be_removed_does_not_keep_a_pod_from_ending(tmp_path: Path) -> None:
    archive = Archive(tmp_path, days=30, size=1000)
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "runs").write_text("not the folder that it was")
    (folder / "tmp").mkdir()
    archive.clear(folder, keep_files=True)
    assert [path.name for path in folder.iterdir()] == ["runs"]
