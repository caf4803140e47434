"""Places of a pool's children: what the worker interrupts or kills is what it means, however late it comes."""

import json
import subprocess
import sys

from config.local import BASE_DIR

# A child runs short attempts one after the other, and says so; its parent ends every other one. The parent looks at
# what runs, dawdles, and then acts on what it saw: often the child is on the next attempt by then.
NURSERY = """
import json, os, random, sys, time
from uuid import UUID
from execution.interruptions import AttemptStoppedError, run_open
from execution.places import Places, Running, stoppable, take_place

how, attempts, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
places, chance = Places(replace_dead=lambda: None), random.Random(seed)

def work(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def live(first, report):
    take_place(places, 0)
    for number in range(first, attempts):
        key = UUID(int=number + 1)
        os.write(report, b"%d\\n" % number)
        try:
            with stoppable(Running(node_execution_id=key, execution_id=key, token=key)):
                run_open(work, chance.choice((0.0, 0.0005, 0.002)))
            os.write(report, b"%d done\\n" % number)
        except AttemptStoppedError:
            os.write(report, b"%d stopped\\n" % number)

def raise_children():
    told, lines, first = [], [], 0
    while first < attempts:
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
                    time.sleep(chance.uniform(0, 0.003))
                    if how == "interrupt":
                        told.append(token.int)
                        places.interrupt(token)
                    elif places.kill(token):
                        told.append(token.int)
        os.waitpid(child, 0)
        with open(reader) as report:
            lines += [line.split() for line in report]
        first = int(lines[-1][0]) + 1
    return {"told": [key - 1 for key in told], "lines": lines}

print(json.dumps(raise_children()))
"""


def raise_children(how: str, attempts: int) -> tuple[set[int], dict[str, set[int]]]:
    """Return which attempts the parent ended (or told to end), and which began, were done, and stopped."""
    answer = json.loads(
        subprocess.run(
            [sys.executable, "-c", NURSERY, how, str(attempts), "7"],
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
    told, ends = raise_children("interrupt", 600)

    assert ends[""] == set(range(600))
    assert ends["stopped"] <= told
    assert ends["done"] == ends[""] - ends["stopped"]
    assert len(told) > 100
    assert len(ends["stopped"]) > 30
    assert told - ends["stopped"], "None came too late, so nothing was shown."


def test_a_kill_ends_the_attempt_that_it_is_meant_for_or_none() -> None:
    killed, ends = raise_children("kill", 600)

    assert ends["done"] == ends[""] - killed
    assert len(killed) > 30
