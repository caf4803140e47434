"""The servers die during a run, and it ends as if nothing had happened."""

import json
from pathlib import Path

from tests.config.processes import environment_for, processes_of, start_python, wait_until
from tests.execution.outages import BRANCHES, FAULTS

QUICK = {"LEASE_SECONDS": "3", "MESSAGE_PATIENCE_SECONDS": "1", "PROBE_SECONDS": "1"}


def test_a_run_outlives_its_database_and_its_broker(tmp_path: Path) -> None:
    local = tmp_path / ".local"
    environment = environment_for(local, **{**QUICK, "DJANGO_SETTINGS_MODULE": "tests.worker_settings"})

    process = start_python("-m", "tests.execution.outages", str(tmp_path / "workers"), environment=environment)
    said = process.communicate()[0]

    assert process.returncode == 0, said
    report = json.loads(said.splitlines()[-1])
    assert report == {
        "status": "COMPLETED",
        "error": "",
        "faults": list(FAULTS),
        "errors": [],
        "outputs": list(range(BRANCHES)),
        # Each branch has an input, two pauses and a firing of the output; these emit 1, 2 and 2, and 2 values.
        "node_executions": BRANCHES * 4,
        "unfinished": 0,
        "emitted": BRANCHES * 7,
        "tracebacks": 0,
    }
    assert wait_until(lambda: not processes_of(local)), f"left behind: {processes_of(local)}"
