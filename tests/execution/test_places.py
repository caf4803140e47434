"""Places of a pool's children: what the worker interrupts or kills is what it means, however late it comes."""

import json
import subprocess
import sys

from config.local import BASE_DIR

# A child runs short attempts one after the other, and says so; its parent ends every other one. The parent looks at
# what runs, dawdles, and then acts on what it saw: often the child is on the next attempt by then.
NURSERY = """
import json, os, random, signal, sys, time
from itertools import count
from uuid import UUID
from execution.interruptions import AttemptStoppedError, run_open
from execution.places import Places, Running, stoppable, take_place

how, enough, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
places, chance = Places(replace_dead=lambda: None), random.Random(seed)

def work(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def live(first, report):
    take_place(places, 0)
    last_call = []
    signal.signal(signal.SIGUSR1, lambda *_: last_call.append(True))
    for number in count(first):
        if last_call:
            return
        key = UUID(int=number + 1)
        os.write(report, b"%d\\n" % number)
        try:
            with stoppable(Running(node_execution_id=key, execution_id=key, token=key)):
                run_open(work, chance.choice((0.0, 0.001, 0.003)))
            os.write(report, b"%d done\\n" % number)
        except AttemptStoppedError:
            os.write(report, b"%d stopped\\n" % number)

def raise_children():
    told, lines, first = [], [], 0
    while len(told) < enough:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(reader)
            live(first, writer)
            os._exit(0)
        os.close(writer)
        while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            for token in places.find_running():
                if token.int % 2 == 0 and token.int not in told:
                    time.sleep(chance.uniform(0, 0.002))
                    if how == "interrupt":
                        told.append(token.int)
                        places.interrupt(token)
                    elif places.kill(token):
                        told.append(token.int)
                        break
            if len(told) == enough and how == "interrupt":
                os.kill(child, signal.SIGUSR1)
        os.waitpid(child, 0)
        with open(reader) as report:
            lines += [line.split() for line in report]
        first = int(lines[-1][0]) + 1
    return {"told": [key - 1 for key in told], "lines": lines}

print(json.dumps(raise_children()))
"""


def raise_children(how: str, enough: int) -> tuple[set[int], dict[str, set[int]]]:
    """End (or tell to end) `enough` attempts; return which those were, and which began, were done, and stopped."""
    answer = json.loads(
        subprocess.run(
            [sys.executable, "-c", NURSERY, how, str(enough), "7"],
            cwd=BASE_DIR,
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
    )
    by_end: dict[str, set[int]] = {"": set(), "done": set(), "stopped": set()}
    for number, *end in answer["lines"]:
        by_end[end[0] if end else ""].add(int(number))
    return set(answer["told"]), by_end


def test_an_interruption_reaches_the_attempt_that_it_is_meant_for_or_none() -> None:
    told, ends = raise_children("interrupt", 200)

    assert len(told) >= 200
    assert ends["stopped"] <= told
    assert ends["done"] == ends[""] - ends["stopped"]
    assert ends["stopped"], "All came too late, so nothing was shown."
    assert told - ends["stopped"], "None came too late, so nothing was shown."


def test_a_kill_ends_the_attempt_that_it_is_meant_for_or_none() -> None:
    killed, ends = raise_children("kill", 100)

    assert len(killed) == 100
    assert ends["done"] == ends[""] - killed


LATE = """
import os
from uuid import UUID
from execution.interruptions import AttemptStoppedError, run_open
from execution.places import STOP_SIGNAL, Places, Running, stoppable, take_place

places = Places(replace_dead=lambda: None)
take_place(places, 0)

def run(number, during):
    key = UUID(int=number)
    try:
        with stoppable(Running(node_execution_id=key, execution_id=key, token=key)):
            run_open(during)
        print(number, "done")
    except AttemptStoppedError:
        print(number, "stopped")

def hear_again():
    # What a signal finds that was sent for the attempt before and comes only now.
    with places.lock(0):
        content = places.read(0)
        content.to_stop = UUID(int=1)
        places.write(0, content)
    os.kill(os.getpid(), STOP_SIGNAL)

run(1, lambda: places.interrupt(UUID(int=1)))
run(2, hear_again)
os.kill(os.getpid(), STOP_SIGNAL)
run(3, lambda: places.interrupt(UUID(int=1)))
run(4, lambda: places.interrupt(UUID(int=4)))
"""


def test_a_signal_that_comes_when_its_attempt_is_over_hurts_nobody() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LATE], cwd=BASE_DIR, capture_output=True, check=True, timeout=60, text=True
    ).stdout

    assert said.split("\n")[:-1] == ["1 stopped", "2 done", "3 done", "4 stopped"]


AT_WORK = """
import os, signal, time
from uuid import UUID
from execution.places import Places, Running, set_deadline, stoppable, take_place

places, key = Places(replace_dead=lambda: None), UUID(int=1)
orders, order = os.pipe()
answer, answers = os.pipe()

def live():
    take_place(places, 0)
    with stoppable(Running(node_execution_id=key, execution_id=key, token=key)):
        os.write(answers, b"!")
        while os.read(orders, 1) == b"d":
            set_deadline(float(os.read(orders, 100)))
            os.write(answers, b"!")

child = os.fork()
if not child:
    live()
    os._exit(0)

def tell(what):
    print(what, len(places.find_at_work()))

def give_time(seconds):
    os.write(order, b"d")
    os.write(order, str(time.monotonic() + seconds if seconds else 0.0).encode())
    os.read(answer, 1)

def signal_and_wait(which, for_what):
    os.kill(child, which)
    os.waitid(os.P_PID, child, for_what | os.WNOWAIT)

os.read(answer, 1)
tell("before its block")
give_time(1000)
tell("in its block")
signal_and_wait(signal.SIGSTOP, os.WSTOPPED)
tell("frozen")
signal_and_wait(signal.SIGCONT, os.WCONTINUED)
tell("thawed")
give_time(-1)
tell("overdue")
give_time(0)
tell("after its block")
give_time(1000)
signal_and_wait(signal.SIGKILL, os.WEXITED)
tell("dead")
os.waitpid(child, 0)
tell("gone")
"""


def test_a_child_is_at_work_while_it_lives_and_its_block_has_time() -> None:
    said = subprocess.run(
        [sys.executable, "-c", AT_WORK], cwd=BASE_DIR, capture_output=True, check=True, timeout=60, text=True
    ).stdout

    assert dict(line.rsplit(" ", 1) for line in said.splitlines()) == {
        "before its block": "0",
        "in its block": "1",
        "frozen": "0",
        "thawed": "1",
        "overdue": "0",
        "after its block": "0",
        "dead": "0",
        "gone": "0",
    }


BORN = """
import os, signal
from execution.places import Places, take_place

places = Places(replace_dead=lambda: None)
with places.lock(0):
    child = os.fork()
    if not child:
        signal.alarm(10)
        take_place(places, 1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_child_that_is_made_while_the_worker_looks_waits_for_no_lock_of_its_own() -> None:
    """The worker's thread that holds it is not there in the child."""
    printed = subprocess.run([sys.executable, "-c", BORN], cwd=BASE_DIR, capture_output=True, check=True, timeout=60)

    assert printed.stdout == b"0\n"
