"""``secondlook memory``: the group."""

from __future__ import annotations

import click

from secondlook.cli.memory.archive_commands import export, import_
from secondlook.cli.memory.edit import edit
from secondlook.cli.memory.reading import changes, get
from secondlook.cli.memory.replica import decide
from secondlook.cli.memory.stats import stats
from secondlook.cli.memory.watch import watch
from secondlook.cli.memory.writing import delete, put


@click.group()
def memory() -> None:
    """Look into the context memory, change it, copy it.

    A record has an id (SITE/CAMERA/KIND/KEY), a small JSON object, and a version that grows by
    one with each write. Writes say which version they have seen, so that no writer silently
    overwrites another.

    \b
    Exit codes: 0 done; 1 no such record, another writer was first, or the cursor is too old;
    2 wrong usage or input; 4 the memory cannot be reached; 130 interrupted.

    \b
    Examples:
      export SECONDLOOK_MEMORY=grpc://127.0.0.1:50051
      secondlook memory put yard/gate/note/1 '{"text": "new lamp"}'
      secondlook memory get yard/gate/note/1
      secondlook memory edit yard/gate/note/1 --set 'text="old lamp again"'
      secondlook memory watch yard/
      secondlook memory export backup.jsonl.gz
    """


for _command in (get, put, edit, delete, changes, watch, stats, export, import_, decide):
    memory.add_command(_command)
