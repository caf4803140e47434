"""`manage.py doctor`: look for everything that should not be, and mend it if asked to."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from execution.examination import Finding, Treatment, examine, treat
from execution.management.live_progress import make_printable
from execution.queue_examination import QueueStanding, look_at_queues
from execution.store.examination import MOST_HITS

EXAMPLES = 5


class Command(BaseCommand):
    """Exit code 0 if nothing is found, or all of it was mended; else 1."""

    help = "Examine the database, the storage and the broker for what is stuck, orphaned, half-written or miscounted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take whether to mend, and for whom to print."""
        parser.add_argument("--repair", action="store_true", help="put right what can be put right safely")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Examine, mend and report."""
        del args
        if options["repair"]:
            treatment = treat()
        else:
            found = examine()
            treatment = Treatment(found=found, left=found)
        queues = look_at_queues()
        self.stdout.write(_write_json(treatment, queues) if options["json"] else _write_text(treatment, queues))
        if treatment.left:
            raise SystemExit(1)


def _write_json(treatment: Treatment, queues: list[QueueStanding]) -> str:
    left = {finding.check.name: len(finding.hits) for finding in treatment.left}
    return json.dumps(
        {
            "healthy": not treatment.left,
            "findings": [
                {
                    "check": finding.check.name,
                    "finds": finding.check.finds,
                    "count": len(finding.hits),
                    "is_complete": len(finding.hits) < MOST_HITS,
                    "mended": treatment.mended.get(finding.check.name, 0),
                    "left": left.get(finding.check.name, 0),
                    "examples": [
                        {
                            "subject": hit.subject,
                            "execution_id": str(hit.run_id) if hit.run_id else None,
                            "detail": hit.detail,
                        }
                        for hit in finding.hits[:EXAMPLES]
                    ],
                }
                for finding in treatment.found
            ],
            "queues": [
                {
                    "queue": each.rows.queue,
                    "messages": each.messages,
                    "queued": each.rows.queued,
                    "held_back": each.rows.held_back,
                    "running": each.rows.running,
                    "has_workers": each.has_listeners,
                }
                for each in queues
            ],
        }
    )


def _write_text(treatment: Treatment, queues: list[QueueStanding]) -> str:
    lines = [line for finding in treatment.found for line in _describe(finding, treatment)]
    lines += [_describe_queue(each) for each in queues]
    if not treatment.found:
        lines.append("Nothing found.")
    elif not treatment.left:
        lines.append("All of it is mended.")
    return "\n".join(lines)


def _describe(finding: Finding, treatment: Treatment) -> list[str]:
    count = len(finding.hits)
    number = f"{count} or more" if count >= MOST_HITS else str(count)
    lines = [f"{finding.check.name}: {finding.check.finds}: {number}"]
    for hit in finding.hits[:EXAMPLES]:
        where = f" (run {hit.run_id})" if hit.run_id and str(hit.run_id) != hit.subject else ""
        lines.append(f"  {make_printable(f'{hit.subject}{where}: {hit.detail}', on_one_line=True)}")
    if count > EXAMPLES:
        lines.append("  …")
    if treatment.mended:
        left = next((len(other.hits) for other in treatment.left if other.check is finding.check), 0)
        lines.append(f"  mended: {treatment.mended.get(finding.check.name, 0)}, left: {left}")
    return lines


def _describe_queue(each: QueueStanding) -> str:
    messages = "its broker can't be reached" if each.messages is None else f"{each.messages} messages"
    workers = "workers listen" if each.has_listeners else "no workers"
    rows = f"{each.rows.queued} queued, {each.rows.held_back} held back, {each.rows.running} running"
    return f"queue {each.rows.queue}: {messages}, {rows}, {workers}"
