"""A short chaos run: a minute of `make chaos` in a quarter of one."""

import json
import os
import subprocess
import sys
from pathlib import Path

from config.local import BASE_DIR

SECONDS = 10
LIMIT_SECONDS = 300


def test_nothing_is_lost_while_processes_die(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "tests.chaos"],
        cwd=BASE_DIR,
        env={**os.environ, "CHAOS_SECONDS": str(SECONDS), "CHAOS_FOLDER": str(tmp_path / "chaos")},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    figures = json.loads((tmp_path / "chaos" / "figures.json").read_text())
    assert figures["complaints"] == 0
    assert figures["faults"] > 0
    assert figures["runs"] > 0
    assert figures["gifts_to_who_ran_out_of_credits"] > 0
    assert figures["http_requests"]["accepted"] > 0
    assert figures["due_times_by_state"]["COMPLETED"] > 0
    assert set(figures["runs_by_status"]) <= {"COMPLETED", "TERMINATED"}
