"""What the doctor found, for people as it comes in and for programs at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from secondlook.cli.config import redact
from secondlook.cli.doctor.result import CheckResult, Status, exit_code

_MARKS = {
    Status.OK: "[green]ok[/]  ",
    Status.WARN: "[yellow]warn[/]",
    Status.FAIL: "[bold red]FAIL[/]",
    Status.SKIP: "[dim]skip[/]",
}


class Results(list[CheckResult]):
    """Collects what is reported; prints each result at once where a console is given.

    Passwords never leave here: every text is redacted on its way in.
    """

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self._console = console

    def __call__(self, result: CheckResult) -> None:
        """Take one result."""
        result = CheckResult(
            result.name,
            result.status,
            _clean(result.detail),
            _clean(result.remedy),
            result.exit_code,
        )
        self.append(result)
        if self._console is not None:
            self._console.print(_line(result))

    def summary(self) -> str:
        """One line: the counts, and the first thing to mend."""
        counts = Counter(result.status for result in self)
        told = ", ".join(f"{counts[status]} {status.value}" for status in Status)
        first = next((r for r in self if r.status is Status.FAIL), None)
        if first is None:
            return told
        return f"{told}. First to mend: {first.name}. {first.remedy}"


def as_json(results: Sequence[CheckResult]) -> str:
    """All results as one JSON document."""
    return json.dumps(
        {
            "ok": exit_code(results) == 0,
            "exit_code": exit_code(results),
            "checks": [
                {
                    "name": r.name,
                    "status": r.status.value,
                    "detail": r.detail,
                    "remedy": r.remedy,
                }
                for r in results
            ],
        },
        indent=2,
        ensure_ascii=False,
    )


def _clean(text: str) -> str:
    shown = redact("", text)
    # A hostile server's words must not steer the terminal.
    return "".join(c if c.isprintable() else " " for c in str(shown))[:1000]


def _line(result: CheckResult) -> Table:
    # A table a line: results appear as they are found, the columns still stand in line.
    table = Table.grid(padding=(0, 1))
    table.add_column(width=4)
    table.add_column(min_width=24, no_wrap=True)
    table.add_column(overflow="fold")
    detail = escape(result.detail)
    if result.remedy and result.status in (Status.WARN, Status.FAIL):
        detail += f"\n[italic]-> {escape(result.remedy)}[/]"
    table.add_row(_MARKS[result.status].strip(), escape(result.name), detail)
    return table
