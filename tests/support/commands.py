"""Command lines found in documents: do they name commands and options that exist?"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

import click

from secondlook.cli.main import cli

SEPARATORS = frozenset({"|", "||", "&&", ";", "&"})


def command_lines(shell: str) -> Iterator[list[str]]:
    """The arguments of every call of ``secondlook`` in some lines of shell."""
    joined = shell.replace("\\\n", " ")
    for line in joined.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word in SEPARATORS:
                yield from _call(words)
                words = []
            else:
                words.append(word)


def _call(words: Sequence[str]) -> Iterator[list[str]]:
    for index, word in enumerate(words):
        if "=" in word and not word.startswith("-"):
            continue  # a variable before the command
        if word.rpartition("/")[2] == "secondlook":
            yield _without_redirections(words[index + 1 :])
        return


def _without_redirections(words: Sequence[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if word in (">", ">>", "<"):
            skip = True
        elif skip:
            skip = False
        else:
            kept.append(word)
    return kept


def check_arguments(arguments: Sequence[str]) -> None:
    """Parse as click would, without running anything.

    Raises:
        click.ClickException: no such command, option or value, or something is missing.
    """
    with click.Context(cli, info_name="secondlook") as context:
        _check(cli, context, list(arguments))


def _check(command: click.Command, parent: click.Context, arguments: list[str]) -> None:
    if isinstance(command, click.Group):
        if not arguments or arguments[0].startswith("-"):
            command.make_context(command.name, arguments, parent=parent, resilient_parsing=True)
            return
        name, child, rest = command.resolve_command(parent, arguments)
        assert child is not None, f"{name} is no command"
        with click.Context(child, parent=parent, info_name=name) as context:
            _check(child, context, rest)
        return
    if {"--help", "-h"} & set(arguments):
        return
    parser = command.make_parser(parent)
    values, left, _ = parser.parse_args(args=list(arguments))
    assert not left, f"{left} is more than the command takes"
    for parameter in command.params:
        value = values.get(parameter.name or "")
        missing = value is None or value == () or str(value).startswith("Sentinel")
        assert not (parameter.required and missing), f"{parameter.name} is missing"
