"""What the page of one run says: the answer first, then figures and tables, then how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archive import Bill, Clade
from evolve.cli.cost import Cost
from evolve.cli.export import without_passwords
from evolve.cli.render import bill_text, count, fraction, paired_lines, percent, points, sure
from evolve.cli.summary import duration
from evolve.llm.redact import redact
from evolve.llm.spending import Sum
from evolve.report.facts import Comparison, RunFacts, Step
from evolve.report.markup import Html, element, joined
from evolve.report.page import Column, excerpt, folded, listed, table

MOST_AGENTS = 1000
"""Lines of the table of agents: a browser lays out tens of thousands, but slowly, and nobody reads them."""
OPEN_AGENTS = 30
"""Agents whose table is not folded."""
MOST_STEPS = 60
"""Births of the best agent's line that are told; the latest ones, if there are more."""
ISSUE = (30, 3000)
"""Lines and characters of an issue that are shown."""
MOST_TASKS = 12
"""Names of tasks in one cell."""
LONGEST = 200
"""Characters of a name in a cell."""
COURSE = (
    "At each point the agent that the run would have named best then, with what was known then. The best of many is "
    "flattered by the choice, most of all early."
)


def sheet(run: RunFacts, figures: Mapping[str, Html]) -> list[Html]:
    """The parts of the page; `figures` by the name of their picture."""

    def shown(*names: str) -> Html:
        return joined(*(html for name, html in figures.items() if name.split("-")[0] in names))

    parts = [element("h1", f"Run {name(run.name)}"), *_answer(run), _numbers(run)]
    if run.course.agent.size:
        parts += [element("h2", "The best agent, as the run went on"), element("p", COURSE), grid(shown("best"))]
    if run.comparisons:
        parts += [element("h2", "Better than the seed?"), shown("paired"), _comparisons(run)]
    if run.family:
        parts += [element("h2", "The agents"), grid(shown("tree", "agents")), _agents(run)]
    if run.line:
        parts += [element("h2", "How the best agent came to be"), *_line(run)]
    if "outcomes" in figures:
        parts += [element("h2", "Outcomes, and what was foreseen of clades"), grid(shown("outcomes", "cmp"))]
    if run.cost.paid.bill.calls or run.cost.replayed.bill.calls:
        parts += [element("h2", "Cost"), shown("cost"), *_cost(run.cost)]
    parts += [element("h2", "How to read it"), *_method(run)]
    return parts


def grid(*figures: Html) -> Html:
    """Figures beside each other where the page is wide enough."""
    return element("div", *figures, class_="figures")


def name(text: str) -> str:
    """A name in a sentence or a cell: of limited length."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _answer(run: RunFacts) -> list[Html]:
    """What most readers came for, and what speaks against trusting it."""
    if run.best is None:
        return [element("p", "Nothing was measured yet.", class_="answer")]
    said = []
    best, seed = run.best, run.best["seed"]
    if run.sealed is not None:
        lines = paired_lines(run.comparisons[-1].paired, *_names(run.comparisons[-1]))
        said.append(element("p", element("strong", "On sealed tasks: "), "; ".join(lines) + ".", class_="answer"))
    if best["agent"] == 0:
        said.append(element("p", "The seed itself is believed to be the best agent.", class_="answer"))
    else:
        text = f"Best belief: agent {best['agent']} solved {best['passed']} of {best['passed'] + best['failed']} "
        text += f"search tasks, {percent(best['mean'])} (95 % {percent(best['low'])} to {percent(best['high'])})"
        if seed["mean"] is not None:
            text += f"; the seed {seed['passed']} of {seed['passed'] + seed['failed']}, {percent(seed['mean'])} "
            text += f"({percent(seed['low'])} to {percent(seed['high'])})"
        said.append(element("p", text + ".", class_="answer"))
    warnings = [*best["warnings"], *(run.sealed["warnings"] if run.sealed else [])]
    return said + [element("p", text.replace(" RUN", "").replace("`", ""), class_="warning") for text in warnings]


def _numbers(run: RunFacts) -> Html:
    status = run.status
    rows = [("state", f"{status['state']}: {status['why']}"), ("benchmark", run.benchmark), ("policy", run.policy)]
    rows.append(("models", ", ".join(f"{role} {model}" for role, model in run.settings.models.roles.items())))
    rows += [
        ("agents", f"{status['agents']:,}"),
        ("evaluations", f"{status['evaluations']:,} with a verdict, {status['resolved']:,} solved"),
        ("expansions", f"{status['expansions']:,} attempts to write a child"),
    ]
    if status["void"]:
        rows.append(("void", f"{count(status['void'], 'move')}: faults of the house, counted against nobody"))
    if status["under_way"]:
        rows.append(("under way", count(status["under_way"], "move")))
    if status["quarantined"]:
        tasks = [f"{name(task)}: {name(why)}" for task, why in list(status["quarantined"].items())[:MOST_TASKS]]
        rows.append(("quarantined", "; ".join(tasks)))
    rows.append(("spent", bill_text(Bill(**status["spent"]))))
    if run.course.hours.size:
        rows.append(("at work", f"{duration(3600 * float(run.course.hours[-1]))} until the last verdict"))
    if status["created"]:
        rows.append(("begun", status["created"][:16].replace("T", " ") + " UTC"))
    if status["last_closed"]:
        rows.append(("last result", f"{status['last_closed']:%Y-%m-%d %H:%M} UTC"))
    return listed((key, name(value)) for key, value in rows)


def _names(each: Comparison) -> tuple[str, str]:
    return f"agent {each.agent}", "the seed" if each.reference == 0 else f"agent {each.reference}"


def _comparisons(run: RunFacts) -> Html:
    columns = [
        Column("tasks", "short"), Column("n", "number"), Column("which agents", "short"), Column("solve", "number"),
        Column("only one solves", "number"), Column("points", "number"), Column("95 % credible", "number"),
        Column("P(better)", "number"), Column("McNemar p", "number"), Column("bear in mind"),
    ]  # fmt: skip
    rows = []
    for each in run.comparisons:
        paired = each.paired
        rows.append(
            [
                each.split, f"{paired.n}", " and ".join(_names(each)), f"{paired.a.passed} and {paired.b.passed}",
                f"{paired.only_a} and {paired.only_b}", points(paired.difference),
                f"{points(paired.low)} to {points(paired.high)}", sure(paired.p_better), f"{paired.p:.2g}", each.note,
            ]
        )  # fmt: skip
    return table(columns, rows)


def _agents(run: RunFacts) -> Html:
    skill = [Column("skill", "number"), Column("95 %", "number"), Column("P(best)", "number")]
    order = [*run.ranking, *sorted({clade.agent for clade in run.family} - set(run.ranking))]
    columns = [
        Column("agent", "number"), Column("parent", "number"), Column("solved", "number"), Column("raw", "number"),
        Column("95 %", "number"),
        *(skill if run.believed.skills else []),
        Column("clade", "number"), Column("children", "number"), Column("lost", "number"), Column("born to mend"),
    ]  # fmt: skip
    parents = {child: clade.agent for clade in run.family for child in clade.children}
    rows = [_agent(run, run.family[agent], parents.get(agent)) for agent in order[:MOST_AGENTS]]
    best = None if run.best is None else order.index(run.best["agent"])
    shown = [table(columns, rows, best)]
    if len(order) > MOST_AGENTS:
        rest = count(len(order) - MOST_AGENTS, "agent")
        shown.append(element("p", f"… and {rest} more, none of a better belief: clade tree --json has all."))
    if len(order) <= OPEN_AGENTS:
        return joined(*shown)
    return folded(f"The table of {count(len(order), 'agent')}", *shown)


def _agent(run: RunFacts, clade: Clade, parent: int | None) -> list[str]:
    low, high = clade.own.interval()
    cells = [
        str(clade.agent), "–" if parent is None else str(parent), fraction(clade.own), percent(clade.own.mean),
        f"{percent(low)} to {percent(high)}" if clade.own.n else "–",
    ]  # fmt: skip
    if run.believed.skills:
        skill = run.believed.skills[clade.agent]
        cells += [percent(skill.mean), f"{percent(skill.low)} to {percent(skill.high)}", percent(skill.p_best)]
    birth = run.births.get(clade.agent)
    entry = "the seed" if clade.agent == 0 else "" if birth is None else name(birth.entry)
    children = str(len(clade.children)) if clade.children else ""
    lost = str(run.lost.get(clade.agent, "") or "")
    return [*cells, fraction(clade.whole) if clade.children else "", children, lost, entry]


def _line(run: RunFacts) -> list[Html]:
    """Births from the seed to the best agent; their texts were written by agents and models."""
    steps = run.line[-MOST_STEPS:]
    text = f"{count(len(run.line), 'birth')} from the seed to agent {run.line[-1].agent}"
    text += "." if len(steps) == len(run.line) else f"; the last {len(steps)}:"
    columns = [Column("agent", "number"), Column("of", "number"), Column("born to mend"), Column("newly solved"),
               Column("no longer solved")]  # fmt: skip
    rows = [
        [str(step.agent), str(step.parent), name(step.entry), _tasks(step.fixed), _tasks(step.broken)] for step in steps
    ]
    return [element("p", text), table(columns, rows), *(_issue(step) for step in steps if step.issue.strip())]


def _issue(step: Step) -> Html:
    return folded(
        f"The issue that agent {step.agent} was born to solve", element("pre", excerpt(redact(step.issue), *ISSUE))
    )


def _tasks(tasks: Sequence[str]) -> str:
    more = f", … {len(tasks) - MOST_TASKS} more" if len(tasks) > MOST_TASKS else ""
    return ", ".join(map(name, tasks[:MOST_TASKS])) + more if tasks else "–"


def _cost(cost: Cost) -> list[Html]:
    parts = [_sums(by, groups, cost.paid.bill.usd) for by, groups in cost.by.items() if groups]
    said = [f"Paid: {bill_text(cost.paid.bill)}."]
    if cost.under_way.calls:
        said.append(f"Under way: {count(cost.under_way.calls, 'call')}, at most ${cost.under_way.usd:.4f}.")
    if cost.replayed.bill.calls:
        said.append(f"Replayed, not paid: {bill_text(cost.replayed.bill)}.")
    if cost.paid.unmeasured:
        said.append(f"{count(cost.paid.unmeasured, 'call')} charged at their worst case, for want of a measurement.")
    return [*parts, element("p", " ".join(said))]


def _sums(by: str, groups: Mapping[str, Sum], whole: float) -> Html:
    columns = [Column(by), *(Column(each, "number") for each in ("calls", "input tokens", "cached", "output tokens",
                                                                "US dollars", "share"))]  # fmt: skip
    rows = [
        [
            name(key), f"{each.bill.calls:,}", f"{each.bill.input_tokens:,}", percent(each.cached_share),
            f"{each.bill.output_tokens:,}", f"{each.bill.usd:.4f}",
            percent(each.bill.usd / whole if whole else None),
        ]
        for key, each in list(groups.items())[:40]
    ]  # fmt: skip
    return table(columns, rows)


def _method(run: RunFacts) -> list[Html]:
    """How the numbers are made, in a few sentences, and the settings."""
    said = [
        "Search evidence only, unless a table says otherwise: what a person asked for guides no choice, and is not in "
        "the figures. Intervals are 95 %; a raw one is the equal-tailed interval of Beta(1 + solved, 1 + not solved).",
        f"The best agent is the one that the run's policy, {run.policy}, would take away{_by(run)}. In the figures "
        "over evaluations, time and money it is chosen anew as the run goes on, from the verdicts until then.",
        "Hours at work count while a move was under way; pauses between sessions do not. Dollars and tokens are those "
        "of all moves closed by then, void ones included.",
    ]
    if run.believed.skills:
        said.append(
            "Skill is the expected share of all search tasks; it allows for some tasks being easier than others, and "
            "for children being like their parents."
        )
    elif run.believed.too_large:
        said.append(f"{run.believed.too_large.capitalize()}.")
    parts = [element("p", text) for text in said]
    settings = run.about.get("settings")
    if settings:
        parts.append(folded("Settings", element("pre", excerpt(redact(without_passwords(settings)), 400, 20_000))))
    return parts


def _by(run: RunFacts) -> str:
    epsilon = run.believed.epsilon
    return "" if epsilon is None else f" (by the {epsilon:g}-quantile of its posterior)"
