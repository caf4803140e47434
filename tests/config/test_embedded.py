"""The embedded servers live exactly as long as somebody uses them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from tests.config.processes import HOLDER, environment_for, processes_of, run_manage, start_python, wait_until

Holder = subprocess.Popen[str]


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Path]:
    """A `.local` folder in a place as awkward as it gets: spaces, other letters, quotes, far too long for a socket."""
    folder = tmp_path / "a folder’s näme with 'quotes'" / ("long" * 40) / ".local"
    yield folder
    assert wait_until(lambda: not processes_of(folder)), f"left behind: {processes_of(folder)}"


@pytest.fixture
def holders(local: Path) -> Iterator[list[Holder]]:
    """Processes that use the servers; whatever is left of them ends with the test."""
    started: list[Holder] = []
    yield started
    for holder in started:
        leave(holder)


def start_holder(local: Path, holders: list[Holder]) -> Holder:
    holder = start_python("-c", HOLDER, environment=environment_for(local))
    holders.append(holder)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def leave(holder: Holder) -> None:
    holder.communicate()


def kill(holder: Holder) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.communicate()


def postmaster(local: Path) -> int:
    return int((local / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def addresses(local: Path) -> tuple[str, str]:
    """Ask a process of that folder where its servers are."""
    script = "from config import embedded; print(embedded.database_settings()['HOST']); print(embedded.valkey_url())"
    asked = start_python("-c", script, environment=environment_for(local))
    host, url = asked.communicate()[0].splitlines()
    return host, url


def test_both_servers_answer_and_keep_what_they_promise(local: Path, holders: list[Holder]) -> None:
    start_holder(local, holders)

    host, url = addresses(local)
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        names = ("fsync", "synchronous_commit", "listen_addresses")
        settings = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    with redis.Redis.from_url(url) as valkey:
        config = valkey.config_get("*")

    assert settings == [("on",), ("on",), ("",)]
    assert (config["appendonly"], config["appendfsync"], config["maxmemory-policy"]) == (
        "yes",
        "everysec",
        "noeviction",
    )
    assert config["port"] == "0"


def test_a_second_user_shares_the_servers_and_the_last_one_stops_them(local: Path, holders: list[Holder]) -> None:
    first = start_holder(local, holders)
    pid = postmaster(local)
    second = start_holder(local, holders)

    leave(first)
    shared = postmaster(local)
    leave(second)

    assert shared == pid
    assert processes_of(local) == []


def test_data_outlive_a_stop(local: Path, holders: list[Holder]) -> None:
    host, url = addresses(local)
    first = start_holder(local, holders)
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        connection.execute("CREATE TABLE kept AS SELECT 41 AS value")
    with redis.Redis.from_url(url) as valkey:
        valkey.set("kept", "41")
    leave(first)

    start_holder(local, holders)

    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (41,)
    with redis.Redis.from_url(url) as valkey:
        assert valkey.get("kept") == b"41"


def test_a_killed_user_leaves_no_server_behind(local: Path, holders: list[Holder]) -> None:
    only = start_holder(local, holders)

    kill(only)

    assert wait_until(lambda: not processes_of(local))


def test_a_killed_user_does_not_take_the_servers_from_another(local: Path, holders: list[Holder]) -> None:
    killed = start_holder(local, holders)
    start_holder(local, holders)
    pid = postmaster(local)

    kill(killed)
    third = start_holder(local, holders)
    leave(third)

    assert postmaster(local) == pid
    os.kill(pid, 0)


def test_users_who_come_while_the_last_one_leaves_find_servers(local: Path, holders: list[Holder]) -> None:
    host, _url = addresses(local)
    for _round in range(3):
        previous = start_holder(local, holders)
        kill(previous)

        start_holder(local, holders)

        with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        leave(holders[-1])


def test_users_who_start_at_once_get_the_same_servers(local: Path, holders: list[Holder]) -> None:
    environment = environment_for(local)
    holders += [start_python("-c", HOLDER, environment=environment) for _each in range(4)]

    greetings = [holder.stdout.readline() for holder in holders if holder.stdout]

    assert greetings == ["held\n"] * 4
    assert len([command for command in processes_of(local) if "config.embedded.keeper" in command]) == 2


def test_a_server_that_dies_while_it_is_used_is_started_again(local: Path, holders: list[Holder]) -> None:
    start_holder(local, holders)
    host, _url = addresses(local)
    killed = postmaster(local)

    os.kill(killed, signal.SIGKILL)

    def answers() -> bool:
        try:
            with psycopg.connect(host=host, user="postgres", dbname="postgres", connect_timeout=2):
                return postmaster(local) != killed
        except (psycopg.OperationalError, FileNotFoundError, IndexError):
            return False

    assert wait_until(answers)


def test_a_killed_keeper_takes_its_server_along_and_the_next_user_gets_a_new_one(
    local: Path, holders: list[Holder]
) -> None:
    start_holder(local, holders)
    keeper = parent_of(postmaster(local))

    os.kill(keeper, signal.SIGKILL)
    start_holder(local, holders)

    host, _url = addresses(local)
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_after_a_crash_of_everything_nobody_is_told_too_early_that_a_server_is_there(
    local: Path, holders: list[Holder]
) -> None:
    first = start_holder(local, holders)
    host, _url = addresses(local)
    keeper = parent_of(killed := postmaster(local))
    os.kill(keeper, signal.SIGSTOP)  # it starts no other one
    os.kill(killed, signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    kill(first)
    # PostgreSQL doesn't start while the number of the old one is still that of a process.
    assert wait_until(lambda: not Path(f"/proc/{killed}").exists())

    start_holder(local, holders)

    assert postmaster(local) != killed
    with psycopg.connect(host=host, user="postgres", dbname="postgres") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("command", [("check",), ("help",), ("--version",), ("migrate", "--help")])
def test_commands_that_need_no_server_start_none(command: tuple[str, ...], local: Path) -> None:
    done = run_manage(*command, environment=environment_for(local))

    assert done.returncode == 0, done.stderr
    assert not (local / "postgres").exists()


def test_ruined_data_are_told_in_one_sentence(local: Path, holders: list[Holder]) -> None:
    leave(start_holder(local, holders))
    (local / "postgres" / "data" / "PG_VERSION").write_text("not a version\n")

    done = run_manage("migrate", environment=environment_for(local))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("The embedded PostgreSQL does not start: ")
    assert "not a valid data directory" in done.stderr


def test_a_local_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    done = run_manage("migrate", environment=environment_for(in_the_way / ".local"))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert str(in_the_way) in done.stderr


@pytest.mark.parametrize(
    ("variable", "url", "complaint"),
    [
        ("DATABASE_URL", "mysql://localhost/x", "DATABASE_URL must begin with postgres://"),
        ("DATABASE_URL", "postgres://localhost", "DATABASE_URL names no database"),
        ("DATABASE_URL", "postgres://localhost:99999/x", "DATABASE_URL can't be read"),
        ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x", "PostgreSQL of DATABASE_URL can't be used"),
        ("REDIS_URL", "http://localhost", "REDIS_URL must begin with"),
        ("BROKER_URL", "nonsense", "BROKER_URL must begin with"),
    ],
)
def test_a_bad_url_is_told_in_one_sentence(variable: str, url: str, complaint: str, local: Path) -> None:
    done = run_manage("migrate", environment=environment_for(local, **{variable: url}))

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert complaint in done.stderr


def test_the_web_server_starts_without_a_broker_that_is_elsewhere(local: Path) -> None:
    environment = environment_for(local, BROKER_URL="redis://127.0.0.1:1/0", REDIS_URL="redis://127.0.0.1:1/0")

    started = start_python("-c", "from config.asgi import application", environment=environment)
    _, complaint = started.communicate(timeout=60)

    assert started.returncode == 0, complaint
