"""What an archive says, as plain facts: the state of a run, the best agent beside the seed, one agent's story.

Pure functions of frozen rows. Search evidence (what policies asked for) and measurements that people asked for are
never mixed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from archive import (
    Agent,
    Evaluation,
    Expansion,
    History,
    Outcome,
    Tally,
    chosen,
    probability_better,
    tallies,
)
from evolve.cli.render import count
from evolve.state import left_out
from evolve.statistics.beliefs import Beliefs
from evolve.statistics.posterior import Skill

Facts = dict[str, Any]


def standing(agent: Agent, tally: Tally) -> Facts:
    """An agent's score, with its 95 % interval (equal-tailed, of Beta(1 + passed, 1 + failed))."""
    low, high = tally.interval()
    return {
        "agent": agent.id,
        "commit": agent.commit,
        "passed": tally.passed,
        "failed": tally.failed,
        "mean": tally.mean,
        "belief": tally.belief,
        "low": low,
        "high": high,
    }


def skill_facts(skill: Skill | None) -> Facts | None:
    """An agent's adjusted skill, JSON-ready; None where it was not worked out."""
    return None if skill is None else asdict(skill)


def status_facts(history: History, about: Mapping[str, str], writer: str | None, believed: Beliefs) -> Facts:
    """What is going on. `evaluations`, `resolved` and `expansions` count search moves that ended as evidence."""
    search = [row for row in history.evaluations if chosen(row)]
    moves: list[Evaluation | Expansion] = [*history.expansions, *history.evaluations]
    evidence = [row for row in search if row.passed or row.failed]
    spent = history.spent()
    own = tallies(history.evaluations)
    best = believed.best
    state, why = state_of(history, about, writer)
    return {
        "state": state,
        "why": why,
        "writer": writer,
        "agents": len(history.agents),
        "expansions": sum(row.outcome not in (None, Outcome.VOID) for row in history.expansions),
        "expansions_by_outcome": outcomes(history.expansions),
        "evaluations": len(evidence),
        "evaluations_by_outcome": outcomes(search),
        "evaluations_on_request": len(history.evaluations) - len(search),
        "resolved": sum(row.passed for row in evidence),
        "void": sum(row.outcome is Outcome.VOID for row in moves),
        "quarantined": left_out(history),
        "left_out": json.loads(about.get("left_out", "{}")),
        "from_cache": sum(bool(row.source) for row in history.evaluations),
        "under_way": sum(row.outcome is None for row in moves),
        # The ledger's sum is the larger one where calls died with their process: their moves have no bill.
        "spent_usd": max(spent.usd, float(about.get("spent_usd", 0.0))),
        "spent": asdict(spent),
        "hours": float(about["hours"]) if "hours" in about else None,
        "seconds_in_moves": sum(row.seconds for row in moves),
        "isolation": about.get("isolation"),
        "created": about.get("created"),
        "last_closed": max((row.closed for row in moves if row.closed), default=None),
        "policy": believed.policy,
        "best": None if best is None else shown(history, own, believed, best),
        "seed": shown(history, own, believed, 0) if history.agents else None,
        "skills_left_out": believed.too_large,
    }


def shown(history: History, own: Mapping[int, Tally], believed: Beliefs, agent: int) -> Facts:
    """An agent's raw score and its skill."""
    raw = standing(history.agents[agent], own.get(agent, Tally()))
    return {**raw, "skill": skill_facts(believed.skills.get(agent))}


def state_of(history: History, about: Mapping[str, str], writer: str | None) -> tuple[str, str]:
    """One word for what a run does, and a sentence why."""
    if writer is not None:
        return "running", f"written by {writer}"
    moves: list[Evaluation | Expansion] = [*history.expansions, *history.evaluations]
    under_way = sum(row.outcome is None for row in moves)
    if under_way:
        return "interrupted", f"its process ended with {count(under_way, 'move')} under way; run it again to go on"
    if "ending" not in about:
        return ("stopped", "run it again to go on") if history.agents else ("new", "nothing was tried yet")
    return ("finished" if about.get("finished") == "True" else "stopped"), about["ending"]


def outcomes(rows: Iterable[Evaluation | Expansion]) -> dict[str, int]:
    """How many closed rows ended how, in the order in which outcomes are defined."""
    count = Counter(row.outcome for row in rows)
    return {outcome.value: count[outcome] for outcome in Outcome if count[outcome]}


def best_facts(history: History, believed: Beliefs, *, given: int | None = None) -> Facts | None:
    """The agent that the policy would take away, or a given one, beside the seed, and what speaks against trusting it.

    None without evidence.
    """
    own = tallies(history.evaluations)
    best = believed.best if given is None else given
    if best is None or best not in own:
        return None
    mine, seeds = own[best], own.get(0, Tally())
    facts = {
        "policy": believed.policy,
        "epsilon": believed.epsilon,
        "quantile": None if believed.epsilon is None else mine.quantile(believed.epsilon),
        **shown(history, own, believed, best),
        "seed": shown(history, own, believed, 0),
        "skills_left_out": believed.too_large,
        "probability_better": None if best == 0 else probability_better(mine, seeds),
        "probability_method": "exact, from two independent Beta posteriors; not corrected for choosing among agents",
        "candidates": len(own),
        "elsewhere": {"best": elsewhere(history, best), "seed": elsewhere(history, 0)},
    }
    return {**facts, "warnings": warnings(facts)}


def elsewhere(history: History, agent: int) -> dict[str, dict[str, int]]:
    """Results that a person asked for, by `benchmark/split`: no choice was made on them."""
    found = {}
    asked = [row for row in history.evaluations if row.agent == agent and not chosen(row)]
    for place in sorted({f"{row.benchmark}/{row.split}" for row in asked}):
        rows = [row for row in asked if f"{row.benchmark}/{row.split}" == place]
        if tally := tallies(rows, lambda row: not chosen(row)).get(agent):
            found[place] = {"passed": tally.passed, "failed": tally.failed}
    return found


def warnings(facts: Facts) -> list[str]:
    """Plain sentences on why the best agent may be no better than it looks."""
    if facts["agent"] == 0:
        return ["no other agent is believed to be better than the seed"]
    found = []
    if facts["low"] <= facts["seed"]["high"] and facts["seed"]["low"] <= facts["high"]:
        found.append("the two 95 % intervals overlap: the difference may be chance")
    flattered = (
        f"it was chosen as the best of {facts['candidates']} on the very tasks that it is scored on, so its score "
        "flatters it; "
    )
    if any(not place.endswith("/search") for place in facts["elsewhere"]["best"]):
        return [*found, flattered + "its results on held-out tasks do not"]
    advice = "`clade final RUN` measures the best few in full, and the chosen one on tasks that no choice has seen"
    return [*found, flattered + advice]


def story(history: History, agent: Agent, believed: Beliefs) -> Facts:
    """Everything on one agent but its code."""
    own = tallies(history.evaluations)
    births = {row.child: row for row in history.expansions if row.outcome is Outcome.BORN}
    birth = births.get(agent.id)
    rows = [row for row in history.evaluations if row.agent == agent.id]
    attempts = [row for row in history.expansions if row.parent == agent.id]
    fixed, broken = ([], []) if agent.parent is None else against(history.evaluations, agent.id, agent.parent)
    return {
        **shown(history, own, believed, agent.id),
        "skills_left_out": believed.too_large,
        "tree": agent.tree,
        "born": agent.born,
        "parent": agent.parent,
        "lineage": [
            {"agent": each.id, "commit": each.commit, "entry": births[each.id].entry if each.id in births else None}
            for each in line_of(history, agent)
        ],
        "entry": birth.entry if birth else None,
        "issue": birth.issue if birth else None,
        "birth": asdict(birth) if birth else None,
        "fixed": fixed,
        "broken": broken,
        "evaluations": [asdict(row) for row in rows],
        "children": [each.id for each in history.agents if each.parent == agent.id],
        "failed_expansions": [asdict(row) for row in attempts if row.outcome is not Outcome.BORN],
        "spent_on_evaluations": asdict(History(evaluations=tuple(rows)).spent()),
        "spent_on_expansions": asdict(History(expansions=tuple(attempts)).spent()),
    }


def line_of(history: History, agent: Agent) -> list[Agent]:
    """The seed, then every ancestor down to the agent itself."""
    line = [agent]
    while (parent := line[-1].parent) is not None:
        line.append(history.agents[parent])
    return line[::-1]


def against(evaluations: Iterable[Evaluation], agent: int, parent: int) -> tuple[list[str], list[str]]:
    """Tasks that the parent always failed and the agent always solved, and the reverse; mixed ones are neither."""
    seen: dict[str, dict[int, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for row in evaluations:
        if row.agent in (agent, parent) and (row.passed or row.failed):
            seen[row.task][row.agent].add(row.passed)
    fixed = sorted(task for task, by in seen.items() if by[agent] == {True} and by[parent] == {False})
    broken = sorted(task for task, by in seen.items() if by[agent] == {False} and by[parent] == {True})
    return fixed, broken


def age(start: datetime, end: datetime) -> str:
    """A span of time as people say it: `42 s`, `12 min`, `3.5 h`, `2.1 days`."""
    return duration((end - start).total_seconds())


def duration(seconds: float) -> str:
    for size, unit in ((86_400 * 2, "days"), (5_400, "h"), (90, "min")):
        if seconds >= size:
            divisor = {"days": 86_400, "h": 3_600, "min": 60}[unit]
            value = seconds / divisor
            return f"{value:.0f} {unit}" if unit == "min" else f"{value:.1f} {unit}"
    return f"{seconds:.0f} s"
