"""``report.html``: one file that needs no other, with every table, the curve and the links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from rich.table import Table

from secondlook.cli.price.chart import curve_drawing
from secondlook.cli.price.outcome import Outcome
from secondlook.cli.price.over_link import LinkRun, allowed_kb
from secondlook.cli.price.run import Comparison
from secondlook.cli.price.shapes import Drawing, as_svg
from secondlook.cli.price.table import TITLES, curve_tables, link_table, sentence, tables_of
from secondlook.cli.price.ways import way_tables
from secondlook.edge.control import BudgetSettings


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One analysis rate.

    Attributes:
        comparison: every system on the clip.
        outcomes: the same in numbers.
        links: Secondlook over links.
    """

    comparison: Comparison
    outcomes: Sequence[Outcome]
    links: Sequence[LinkRun] = ()

    @property
    def shown(self) -> list[Outcome]:
        """The systems that are no points of a curve."""
        specs = self.comparison.specs
        return [o for o in self.outcomes if o.name not in specs or not specs[o.name].point]

    def drawing(self) -> Drawing | None:
        """The curve; ``None`` where none was asked for."""
        verdicts = self.comparison.verdicts(self.outcomes)
        if verdicts is None:
            return None
        clip = self.comparison.plan.clip.rstrip("/").rpartition("/")[2] or "clip"
        return curve_drawing(
            verdicts,
            self.shown,
            title=f"{clip}: agreement and its price",
            subtitle=facts(self)[0],
        )

    def tables(self) -> list[Table]:
        """All tables, in order."""
        found = tables_of(self.shown)
        verdicts = self.comparison.verdicts(self.outcomes)
        if verdicts is not None:
            found += curve_tables(verdicts)
        if self.links:
            found.append(link_table(self.links))
        named = [
            (TITLES.get(o.name, o.title), o.ways) for o in self.shown if o.name == "secondlook"
        ]
        return found + way_tables([(title, ways) for title, ways in named if ways is not None])


def facts(part: Part) -> list[str]:
    """What was compared, a line each."""
    comparison = part.comparison
    standard, metric, plan = comparison.standard, comparison.metric, comparison.plan
    blocks = comparison.blocks()
    latency = (
        "as measured on this machine"
        if plan.verdict_latency_s is None
        else f"{plan.verdict_latency_s:g} s, as given"
    )
    size = f"{standard.width}x{standard.height}"
    models = f"{comparison.light.name} at the edge, {comparison.heavy.name} in the cloud"
    classes = ", ".join(metric.classes or ())
    cut = f"{blocks.count} blocks of {blocks.block_s:.1f} s, seed {plan.seed}"
    lines = [
        f"{len(standard)} frames of {size}, {plan.analysis_fps:g} a second; {models}",
        f"Counted: {classes}. Verdicts come {latency}.",
        f"Intervals: bootstrap over {cut}.",
    ]
    if plan.budget is not None:
        lines.append(budget_line(plan.budget, part.outcomes))
    if comparison.kept:
        lines.append(
            f"{len(comparison.kept)} baselines were kept from an earlier run; their times in ms "
            "are of that run."
        )
    return lines


def budget_line(budget: BudgetSettings, outcomes: Sequence[Outcome]) -> str:
    """The budget, and whether Secondlook kept it."""
    parts = []
    if budget.kb_per_s is not None:
        parts.append(f"{budget.kb_per_s:g} KB a second")
    if budget.cloud_per_s is not None:
        parts.append(f"{budget.cloud_per_s:g} heavy inferences a second")
    line = f"Budget of Secondlook: {' and '.join(parts)}."
    ours = next((o for o in outcomes if o.name == "secondlook"), None)
    if ours is not None and ours.most_kb_in_60_s is not None:
        allowed = allowed_kb(budget)
        of = "" if allowed is None else f" of {allowed:.1f} allowed"
        line += f" Most within 60 s: {ours.most_kb_in_60_s:.1f} KB{of}"
        line += f"; {ours.unpaid} questions were not asked for want of budget."
    return line


def render(parts: Sequence[Part]) -> str:
    """The HTML text. Everything that is not ours is escaped."""
    style = files("secondlook.cli.price").joinpath("report.css").read_text(encoding="utf-8")
    body = "".join(_part(part, many=len(parts) > 1) for part in parts)
    clip = escape(parts[0].comparison.plan.clip)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Secondlook price: {clip}</title><style>{style}</style></head><body>"
        f'<h1>Secondlook price</h1><p class="soft">{clip}</p>{body}'
        f"<h2>How to read it</h2>{_NOTES}</body></html>\n"
    )


def _part(part: Part, *, many: bool) -> str:
    comparison = part.comparison
    head = f"<h2>{comparison.plan.analysis_fps:g} frames a second</h2>" if many else ""
    told = "".join(f'<p class="soft">{escape(line)}</p>' for line in facts(part))
    drawing = part.drawing()
    figure = f'<figure class="card">{as_svg(drawing)}</figure>' if drawing else ""
    links = "".join(
        f'<p class="soft">{escape(run.link.name)}: {escape(run.link.source)}.</p>'
        for run in part.links
    )
    return (
        f'{head}<p class="verdict">{escape(sentence(part.shown))}</p>{told}{figure}'
        + "".join(_table(table) for table in part.tables())
        + links
    )


def _table(table: Table) -> str:
    """A table for terminals as one for pages."""
    columns = [list(column.cells) for column in table.columns]
    head = "".join(
        f"<th>{escape(str(column.header)).replace(chr(10), '<br>')}</th>"
        for column in table.columns
    )
    rows = ""
    for number, row in enumerate(table.rows):
        kind = ' class="ours"' if row.style == "bold" else ""
        cells = [escape(str(column[number])) for column in columns]
        rows += f"<tr{kind}><th>{cells[0]}</th>" + "".join(f"<td>{c}</td>" for c in cells[1:])
        rows += "</tr>"
    return (
        f'<h3>{escape(str(table.title))}</h3><div class="card"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>"
    )


_NOTES = (
    '<p class="soft">F1 is agreement with the cloud model on the untouched native frame, at an IoU '
    "of 0.5; agreement with a model is not truth. “a→b” is what was said at once → what stood when "
    "all verdicts were in. KB is 1000 bytes of TCP payload from edge to cloud, with headers, "
    "audits and retries, and without the set-up of the connection.</p>"
    '<p class="soft">Everything really ran: the heavy model looked at what was really decoded. A '
    "video stream pays for a key frame at its beginning, which weighs more on a short clip. What a "
    "stream needs for a point’s F1 lies on straight lines between its measured points; “not "
    "reached” means that none of them is as good.</p>"
)
