"""What a run costs beside time: CPU seconds per group of processes, bytes written and sent."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psutil
from django.db import connection
from redis import Redis

MIB: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What was used between two looks: CPU seconds by group of processes, and counts by name."""

    cpu_seconds: Mapping[str, float]
    counts: Mapping[str, int]

    def per(self, nodes: int) -> dict[str, float]:
        """Return it by node: CPU in milliseconds (`cpu_ms_…`), the counts as they are."""
        cpu = {f"cpu_ms_{name}": 1000 * seconds / nodes for name, seconds in self.cpu_seconds.items()}
        return cpu | {name: count / nodes for name, count in self.counts.items()}


class Meter:
    """Looks at groups of processes (each with all below it) and at the servers' own counters."""

    def __init__(self, groups: Mapping[str, Iterable[int]], *, broker: Redis) -> None:
        """Take the `groups`' main processes by name; our own, without those that it has started, is the `caller`."""
        self._groups = {name: list(pids) for name, pids in groups.items()}
        self._broker = broker
        self._cpu: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def measure(self, work: Callable[[], float]) -> tuple[float, Cost]:
        """Do the work; return what it returns and what it cost."""
        counts, cpu = self._read_counts(), self._read_cpu()
        result = work()
        cost = Cost(
            cpu_seconds={name: seconds - cpu[name] for name, seconds in self._read_cpu().items()},
            counts={name: count - counts[name] for name, count in self._read_counts().items()},
        )
        return result, cost

    def _read_cpu(self) -> dict[str, float]:
        used = {name: sum(_cpu_seconds(pid) for pid in pids) for name, pids in self._groups.items()}
        return used | {"caller": time.process_time()}

    def _read_counts(self) -> dict[str, int]:
        info: dict[str, Any] = self._broker.info()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn,"
                " (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables)"
            )
            ((written, stored),) = cursor.fetchall()
        return {
            "wal_bytes": int(written),
            "stored_bytes": int(stored or 0),
            "broker_bytes": int(info["total_net_input_bytes"]) + int(info["total_net_output_bytes"]),
            "broker_commands": int(info["total_commands_processed"]),
        }


def resident_bytes(pid: int) -> int:
    """Return the memory of a process and all below it that is theirs alone or shared by them once (PSS)."""
    total = 0
    for process in _family(pid):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return total


def _cpu_seconds(pid: int) -> float:
    """Return what a process and all below it have used, those that have ended included."""
    total = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _family(pid: int) -> list[psutil.Process]:
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.Error:
        return []
