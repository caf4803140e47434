"""`python -m tests.chaos.run FOLDER SECONDS PAUSE SEED`: one chaos run, as `tests.chaos` starts it."""

import io
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import django
import redis
from django.core.management import call_command

django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import User  # noqa: E402
from django.db import DatabaseError, connection  # noqa: E402

from config.local import LOCAL_DIR  # noqa: E402
from config.supervisor import print_line  # noqa: E402
from credits.models import LedgerEntry  # noqa: E402
from tests.chaos.checker import examine  # noqa: E402
from tests.chaos.clients import Client, examine_requests, make_clients  # noqa: E402
from tests.chaos.crew import Crew  # noqa: E402
from tests.chaos.faults import MESSAGE_LISTS, Faults  # noqa: E402
from tests.chaos.figures import measure  # noqa: E402
from tests.chaos.nemesis import Nemesis  # noqa: E402
from tests.chaos.poverty import Pauper, impoverish  # noqa: E402
from tests.chaos.prices import grant_riches, make_blocks_cost  # noqa: E402
from tests.chaos.schedules import count_undecided, make_schedules  # noqa: E402
from tests.chaos.servers import OwnServer, make_broker, make_database  # noqa: E402
from tests.chaos.tasks import Task, make_tasks  # noqa: E402
from tests.chaos.workload import Users, count_unended  # noqa: E402
from tests.config.processes import processes_of  # noqa: E402
from tests.execution.shifted_clock import MAKE, SEARCH_PATH  # noqa: E402

# How long after the last fault everything must have ended, and the queues be empty.
END_SECONDS: Final = 90.0
EMPTY_SECONDS: Final = 20.0
GONE_SECONDS: Final = 10.0
MOST_SHOWN: Final = 30


class ChaosRun:
    """Servers, workers, users and faults, and what became of them."""

    def __init__(self, folder: Path, *, seed: str) -> None:
        self.complaints: list[str] = []
        self.figures: dict[str, Any] = {}
        self._folder = folder
        self._seed = seed
        self._database = make_database()
        self._broker = make_broker()
        self._crew = Crew(folder)

    def run(self, seconds: float, *, pause: float) -> None:
        """Let users work and faults happen for so long, one every `pause` seconds; wait for the end, and examine it."""
        try:
            _start(self._database, self._broker)
            call_command("migrate", verbosity=0)
            _make_clock_shiftable()
            user = User.objects.create_user(username="ada")
            make_blocks_cost(user)
            tasks = make_tasks(user, self._draw("tasks"))
            self._crew.await_ready()
            users = Users(user, tasks, self._draw("users"))
            clients = make_clients(user, tasks, self._draw("clients"), port=self._crew.web_port)
            scheduled = self._make_schedules(seconds)
            pauper, alms = self._make_pauper()
            with (self._folder / "faults.log").open("w", encoding="utf-8") as log:
                faults = self._make_faults(clients, seconds)
                nemesis = Nemesis(
                    faults=faults,
                    crew=self._crew,
                    chance=self._draw("nemesis"),
                    pause=pause,
                    only=os.environ.get("CHAOS_FAULTS", ""),
                    log=log,
                )
                users.start()
                pauper.start()
                for client in clients:
                    client.start()
                nemesis.rage(seconds)
                nemesis.make_up()
            self._settle(users, clients, pauper, faults)
            self._check([*tasks, *scheduled, *alms], users, clients, pauper)
            self.figures |= measure(nemesis.committed, faults.deaths)
        finally:
            self._crew.kill()
            connection.close()
            self._broker.stop()
            self._database.stop()
        if not _await(lambda: not self._left_processes(), GONE_SECONDS):
            self.complaints += [f"a process is left: {command}" for command in self._left_processes()]

    def _draw(self, purpose: str) -> random.Random:
        """Return a source of chance of its own for each purpose: none disturbs the others."""
        return random.Random(f"{self._seed} {purpose}")

    def _make_schedules(self, seconds: float) -> list[Task]:
        """Have runs start by themselves; return the graphs that they are of."""
        owner = User.objects.create_user(username="mary")
        grant_riches(owner)
        tasks = make_tasks(owner, self._draw("scheduled tasks"))
        make_schedules(owner, tasks, self._draw("schedules"), seconds=seconds)
        return tasks

    def _make_pauper(self) -> tuple[Pauper, list[Task]]:
        """Have somebody run out of credits; return the graphs that they run, too."""
        user = User.objects.create_user(username="bob")
        tasks = make_tasks(user, self._draw("pauper's tasks"))
        impoverish(user)
        return Pauper(user, tasks, self._draw("pauper")), tasks

    def _make_faults(self, clients: list[Client], seconds: float) -> Faults:
        return Faults(
            crew=self._crew,
            database=self._database,
            broker=self._broker,
            is_asked=lambda: any(client.is_asking for client in clients),
            chance=self._draw("faults"),
            seconds=seconds,
        )

    def _settle(self, users: Users, clients: list[Client], pauper: Pauper, faults: Faults) -> None:
        """Wait until everything has ended by itself, and tell the processes to stop."""
        began = time.monotonic()
        self._database.await_ready()
        self._broker.await_ready()
        faults.set_clock_right()
        self._crew.await_ready()
        users.leave()
        pauper.leave()
        pauper.become_rich()
        for client in clients:
            client.leave()
        if not self._await(lambda: pauper.resume_failed() + count_unended() + count_undecided() == 0, END_SECONDS):
            self.complaints.append(
                f"{count_unended()} runs have not ended, and {count_undecided()} due times are not decided,"
                f" {END_SECONDS:.0f} s after the last fault"
            )
        self.figures["seconds_until_all_ended"] = round(time.monotonic() - began, 1)
        if not self._await(lambda: _count_messages() == 0, EMPTY_SECONDS):
            self.complaints.append(f"{_count_messages()} messages are left in the queues")
        self._await(lambda: all(post.is_up() for post in self._crew.all_posts), EMPTY_SECONDS)
        self.complaints += [f"{name} did not stop when it was told to" for name in self._crew.leave()]

    def _check(self, tasks: list[Task], users: Users, clients: list[Client], pauper: Pauper) -> None:
        answers = {task.version_id: task.answer for task in tasks}
        self.complaints += examine(answers, asked_to_stop=users.asked_to_stop, stopped=users.stopped)
        self.complaints += examine_requests(clients)
        self.complaints += pauper.examine_gifts()
        self.complaints += [f"doctor: {line}" for line in _ask_doctor()]
        self.figures["charges"] = LedgerEntry.objects.filter(node_execution_id__isnull=False).count()
        if not self.figures["charges"]:
            self.complaints.append("nothing was charged")
        self.figures |= {
            "runs_stopped_by_users": len(users.stopped),
            "requests_that_met_an_outage": users.refused,
            "gifts_to_who_ran_out_of_credits": len(pauper.gifts),
            "runs_that_went_on_after_they_could_not_pay": pauper.resumed,
            "http_requests": {
                "accepted": sum(len(client.accepted) for client in clients),
                "without_an_answer": sum(client.unheard for client in clients),
                "answered_again": sum(client.answered_again for client in clients),
            },
            "processes_that_ended_by_themselves": [
                f"{exit_.post}: {exit_.code}: {exit_.last_words[-200:]}" for exit_ in self._crew.exits
            ],
            "processes_killed_because_they_did_not_leave": self._crew.killed_late,
        }

    def _await(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something while workers are looked after."""

        def look() -> bool:
            self._crew.look_after()
            try:
                return condition()
            except (DatabaseError, redis.RedisError):
                connection.close()
                return False

        return _await(look, seconds)

    def _left_processes(self) -> list[str]:
        return [*processes_of(LOCAL_DIR), *processes_of(self._folder)]


def _make_clock_shiftable() -> None:
    """Let all sessions from now on go by a clock that can be set."""
    with connection.cursor() as cursor:
        cursor.execute(MAKE)
        name = connection.ops.quote_name(connection.settings_dict["NAME"])
        cursor.execute(f"ALTER DATABASE {name} SET search_path = {SEARCH_PATH}")
    connection.close()


def _start(*servers: OwnServer) -> None:
    for server in servers:
        server.start()
    for server in servers:
        server.await_ready()


def _await(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _count_messages() -> int:
    with redis.Redis.from_url(str(settings.REDIS_URL), socket_timeout=5) as client:
        return sum(int(client.llen(queue)) for queue in MESSAGE_LISTS)


def _ask_doctor() -> list[str]:
    """Return the doctor's report if there is anything in it."""
    said = io.StringIO()
    try:
        call_command("doctor", stdout=said)
    except SystemExit:
        return said.getvalue().splitlines()
    return []


def main(folder: Path, seconds: float, pause: float, seed: str) -> int:
    """Run, write `figures.json`, print it; return 1 if there is anything to complain about."""
    print_line(f"chaos for {seconds:g} s, a fault every {pause:g} s, with CHAOS_SEED={seed}")
    chaos = ChaosRun(folder, seed=seed)
    chaos.run(seconds, pause=pause)
    report = {"seed": seed, "seconds": seconds, "pause": pause, "complaints": len(chaos.complaints), **chaos.figures}
    (folder / "figures.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (folder / "complaints.txt").write_text("".join(f"{line}\n" for line in chaos.complaints), encoding="utf-8")
    print_line(json.dumps(report, indent=2))
    for complaint in chaos.complaints[:MOST_SHOWN]:
        print_line(complaint)
    print_line(f"{len(chaos.complaints)} complaints; logs in {os.path.relpath(folder)}")
    return 1 if chaos.complaints else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
