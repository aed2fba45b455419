"""What ``secondlook calibrate`` says: tables for people, and the settings to paste."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from secondlook.cli.calibrate.scoring import PLAIN_SCORE
from secondlook.edge.gate.gate_file import GateFile


def show(gate: GateFile, console: Console, path: Path) -> None:
    """The gate in words and tables."""
    console.print(_scores(gate))
    console.print(_choices(gate))
    if gate.promise is not None:
        console.print(_promise(gate))
        console.print(f"Measured on {gate.promise.how}.", highlight=False)
    for line in remarks(gate):
        console.print(line, highlight=False, style="bold")
    console.print(f"\nWritten to {path}. To use it:\n", highlight=False)
    console.print(f'[gate]\nfile = "{path}"', highlight=False, markup=False)


def remarks(gate: GateFile) -> list[str]:
    """What should not be overlooked."""
    found = []
    goal = gate.goal
    if (goal.budget_kb_per_frame is not None or goal.accuracy is not None) and not goal.met:
        wanted = (
            f"at most {goal.budget_kb_per_frame:g} KB a frame"
            if goal.budget_kb_per_frame is not None
            else f"an F1 of {goal.accuracy:g}"
        )
        found.append(
            f"No threshold gave {wanted}; {gate.threshold:g} comes nearest and is in the file."
        )
    if all(choice.basis == "cold start" for choice in gate.choices.values()):
        found.append(
            "Nothing that was learned carries over to footage left out better than the cold-start "
            "rule: the file holds that rule."
        )
    return found


def _scores(gate: GateFile) -> Table:
    table = Table(title="Edge alone, F1 against the heavy model")
    for name in ("clip", f"plain, score {PLAIN_SCORE:g}", "cold start", "trained", "left out"):
        table.add_column(name, justify="left" if name == "clip" else "right")
    for score in gate.scores:
        left_out = "" if score.left_out is None else f"{score.left_out:.3f}"
        table.add_row(
            score.clip, f"{score.plain:.3f}", f"{score.cold:.3f}", f"{score.trained:.3f}", left_out
        )
    return table


def _choices(gate: GateFile) -> Table:
    table = Table(title="Log loss on what was left out, nats")
    for name in ("branch", "basis", "lessons", "cold start", "chosen", "least gain"):
        table.add_column(name, justify="left" if name in ("branch", "basis") else "right")
    for name, choice in gate.choices.items():
        table.add_row(
            name.replace("_", " "),
            choice.basis,
            str(choice.rows),
            f"{choice.cold_loss:.3f}",
            f"{choice.loss:.3f}",
            f"{choice.worst_gain:+.3f}",
        )
    return table


def _promise(gate: GateFile) -> Table:
    assert gate.promise is not None
    table = Table(title=f"With the cloud, carrier {gate.promise.carrier}")
    names = (
        "threshold",
        "F1",
        "recall",
        "frames with a miss",
        "KB/frame",
        "first KB",
        "heavy/frame",
    )
    for name in names:
        table.add_column(name, justify="right")
    for point in gate.promise.points:
        table.add_row(
            f"{point.threshold:g}",
            f"{point.f1:.3f}",
            f"{point.recall:.3f}",
            f"{100 * point.miss_rate:.1f} %",
            f"{point.kb_per_frame:.2f}",
            f"{point.start_kb:.1f}",
            f"{point.inferences_per_frame:.2f}",
            style="bold" if point.threshold == gate.threshold else None,
        )
    return table
