"""A document in the user's editor."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import click
from typing_extensions import Self

from secondlook.cli.memory.arguments import MAX_TEXT_BYTES, parse_document
from secondlook.cli.memory.shown import to_json
from secondlook.shared.errors import InvalidInput
from secondlook.shared.memory import Document
from secondlook.shared.memory.record import encode


class Edited:
    """A file with a document, for the editor; kept where what follows fails.

    ::

        with Edited(record.data) as edited:
            data = edited.data()  # opens the editor
            ...                   # an exception here leaves the file, and tells where it is
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        handle, name = tempfile.mkstemp(prefix="secondlook-", suffix=".json")
        self._path = Path(name)
        with os.fdopen(handle, "w") as file:
            file.write(f"{to_json(document, indent=2)}\n")

    def data(self) -> dict[str, Any] | None:
        """What the user made of it; ``None`` where nothing was changed.

        Raises:
            InvalidInput: it is no document, and nobody is there to mend it.
            click.ClickException: the editor failed.
        """
        while True:
            click.edit(filename=str(self._path))
            try:
                with self._path.open("rb") as file:
                    data = parse_document(file.read(MAX_TEXT_BYTES + 1), "the text")
            except InvalidInput as error:
                if not sys.stdin.isatty() or not click.confirm(
                    f"{error}; edit again?", default=True
                ):
                    raise
            else:
                return None if encode(data) == encode(self._document) else data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._path.unlink(missing_ok=True)
        else:
            click.echo(f"your text is kept in {self._path}", err=True)
