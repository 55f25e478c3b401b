"""What cells write, in a real pod: all of it, once, in order, whatever hits them meanwhile."""

from __future__ import annotations

import json

from tests.platform.pod.conftest import RunningPod

#: For ``numbers``: shows and prints the numbers in turn, some flushed, for longer than it takes
#: until what is not flushed is sent by itself.
_IN_TURN = """
import random, time
from IPython.display import display
chance, number, end = random.Random(7), 0, time.monotonic() + 1.5
while time.monotonic() < end:
    if chance.random() < 0.2:
        display({"text/plain": str(number)}, raw=True)
    else:
        print(number, flush=chance.random() < 0.3)
    number += 1
    pause = time.monotonic() + chance.choice([0, 1e-5, 1e-4, 1e-3])
    while time.monotonic() < pause:
        pass
print(number)
"""

#: An alarm at random moments, whose exception hits whatever writes just then.
_ALARMS = """
import random, signal, sys
class Alarm(Exception): pass
writing, rung = False, 0
def ring(*_):
    global writing, rung
    signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1e-3))
    if writing:
        writing, rung = False, rung + 1
        raise Alarm
before = signal.signal(signal.SIGALRM, ring)
signal.setitimer(signal.ITIMER_REAL, 1e-4)
for number in range(3_000):
    try:
        writing = True
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
        writing = False
    except Alarm:
        pass
signal.signal(signal.SIGALRM, signal.SIG_IGN)
signal.setitimer(signal.ITIMER_REAL, 0)
signal.signal(signal.SIGALRM, before)
assert rung > 50, rung
"""

_AFTER_ALARMS = """
import os, time
print("still sent by itself")
while not os.path.exists("seen"):
    time.sleep(0.01)
"""

_THREADS = """
import threading
def count(name):
    for number in range(500):
        print(f"{name} {number}\\n", end="", flush=True)
threads = [threading.Thread(target=count, args=(name,)) for name in "abcd"]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""

#: Forks again and again while the output thread sends.
_FORKS = """
import os
for number in range(150):
    print(f"parent {number}\\n", end="")
    child = os.fork()
    if not child:
        print(f"child {number}\\n", end="", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_prints_and_displays_come_in_the_order_in_which_they_were_made(pod: RunningPod) -> None:
    numbers = []
    for event in pod.run(_IN_TURN)[:-1]:
        content = event["content"]
        text = content["text"] if event["type"] == "stream" else content["data"]["text/plain"]
        numbers += [int(line) for line in text.split()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 100


def test_an_exception_in_the_midst_of_writing_loses_and_doubles_nothing(pod: RunningPod) -> None:
    lines = pod.text(_ALARMS).splitlines()
    numbers = [int(line) for line in lines]
    # one that is missing was hit before it was written
    assert numbers == sorted(set(numbers))
    assert len(numbers) > 1_000


def test_what_nobody_flushes_comes_all_the_same_after_many_exceptions(pod: RunningPod) -> None:
    pod.text(_ALARMS)
    seen = pod.folder / "workspace" / "seen"
    with pod.client.stream("POST", "/api/runs/", json={"code": _AFTER_ALARMS}) as answer:
        for line in answer.iter_lines():
            event = json.loads(line) if line.strip() else {}
            if event.get("type") == "stream":
                assert event["content"]["text"] == "still sent by itself\n"
                seen.touch()
    assert event["content"]["status"] == "ok"


def test_each_threads_lines_come_whole_and_in_order(pod: RunningPod) -> None:
    lines = [line.split() for line in pod.text(_THREADS).splitlines()]
    for name in "abcd":
        assert [int(number) for who, number in lines if who == name] == list(range(500))


def test_processes_that_are_forked_while_outputs_are_sent_can_print(pod: RunningPod) -> None:
    lines = pod.text(_FORKS).splitlines()
    for who in ("parent", "child"):
        assert {f"{who} {number}" for number in range(150)} <= set(lines)


def test_what_programs_write_comes_between_the_prints_where_it_was_written(pod: RunningPod) -> None:
    for call in ("subprocess.run(['echo', f'b {n}'])", "os.system(f'echo b {n}')"):
        code = f"import os, subprocess\nfor n in range(60):\n    print('a', n)\n    {call}"
        assert pod.text(code) == "".join(f"a {n}\nb {n}\n" for n in range(60))


def test_programs_can_write_where_no_file_can_take_it(fresh_pod: RunningPod) -> None:
    fresh_pod.run("import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, -1))")
    # more than a pipe holds
    many = "import os\nfor n in range(40): os.system(f'seq {n}000 {n}999 >&2')\nprint('end')"
    text = fresh_pod.text(many)
    assert text.count("\n") == 40_001
    assert "end\n" in text
