"""The order of a recorded run's moves, and where a replay of it goes on."""

from hypothesis import given
from hypothesis import strategies as st

from evolve.llm.base import Json
from evolve.llm.cassette.order import Landing, Launch, Step, launches_of, rest_after, steps_of

SESSION: Json = {"event": "session", "format": 1}
ENDED: Json = {"event": "ended", "reason": "budget", "finished": True}


def launched(number: int, decision: int | None) -> Json:
    return {"event": "launched", "name": f"evaluation-{number}", "what": f"task {number}", "decision": decision}


def landed(number: int) -> Json:
    return {"event": "landed", "move": number}


def told(lines: list[Json]) -> list[tuple[str, int | None]]:
    """Kinds and launches of the steps."""
    steps = steps_of(lines, launches_of(lines))
    return [(step.kind, None if step.launch is None else step.launch.number) for step in steps]


def test_launches_are_numbered_as_they_came_and_know_whether_they_landed() -> None:
    lines = [SESSION, launched(0, 1), launched(7, None), {"event": "call"}, landed(1), launched(2, 2)]
    assert launches_of(lines) == [
        Launch(0, "evaluation-0", 1, "task 0", False),
        Launch(1, "evaluation-7", None, "task 7", True),
        Launch(2, "evaluation-2", 2, "task 2", False),
    ]


def test_a_launch_knows_how_it_ended_last() -> None:
    born, twin = Landing("BORN", "lives", "c0de"), Landing("DUPLICATE", "the same code as agent 1")
    lines = [SESSION, launched(0, 1), {**landed(0), **born.fields}, launched(1, 2), landed(1), launched(2, 3)]
    assert [launch.landing for launch in launches_of(lines)] == [born, None, None]
    assert [launch.landed for launch in launches_of(lines)] == [True, True, False]
    lines += [SESSION, {**landed(0), **twin.fields}]
    assert launches_of(lines)[0].landing == twin
    assert told(lines) == [
        ("launched", 0),
        ("landed", 0),
        ("launched", 1),
        ("landed", 1),
        ("launched", 2),
        ("cut", None),
    ]


def test_steps_are_the_chosen_moves_in_their_order() -> None:
    lines = [SESSION, launched(0, 1), launched(1, 2), landed(1), launched(2, 3), landed(0), landed(2), ENDED]
    assert told(lines) == [
        ("launched", 0),
        ("launched", 1),
        ("landed", 1),
        ("launched", 2),
        ("landed", 0),
        ("landed", 2),
    ]


def test_moves_that_no_policy_chose_are_no_steps() -> None:
    assert told([SESSION, launched(0, None), launched(1, 1), landed(0), landed(1)]) == [("launched", 1), ("landed", 1)]


def test_what_was_under_way_when_a_session_ended_is_cut_off() -> None:
    lines = [SESSION, launched(0, 1), launched(1, 2), landed(0), SESSION, launched(2, 3), landed(2)]
    assert told(lines) == [
        ("launched", 0),
        ("launched", 1),
        ("landed", 0),
        ("cut", None),
        ("launched", 2),
        ("landed", 2),
    ]
    assert told(lines[:4])[-1] == ("cut", None)
    assert told([SESSION, SESSION, launched(0, 1), landed(0), SESSION]) == [("launched", 0), ("landed", 0)]


def test_a_move_cut_off_does_not_land_later() -> None:
    assert told([SESSION, launched(0, 1), SESSION, landed(0)]) == [("launched", 0), ("cut", None)]


def test_nothing_recorded_has_no_steps() -> None:
    assert told([]) == []
    assert told([SESSION, ENDED]) == []
    assert rest_after([], 0) == []


def test_what_was_under_way_comes_again_as_of_its_moment() -> None:
    lines = [SESSION, launched(0, 1), landed(0), launched(1, 2), launched(2, 3), landed(2), launched(3, 4), landed(1)]
    launches = launches_of(lines)
    steps = steps_of(lines, launches)
    again = rest_after(steps, 2)  # the moves 0 and 2 have landed; 1 was under way
    assert again[0] == Step("launched", launches[1], frozenset({0}), frozenset())
    assert again[1:] == steps[5:]
    assert rest_after(steps, 0) == steps


def test_after_a_cut_nothing_of_before_comes_again() -> None:
    lines = [SESSION, launched(0, 1), launched(1, 2), landed(1), SESSION, launched(2, 3), landed(2), launched(3, 4)]
    steps = steps_of(lines, launches_of(lines))
    assert [(step.kind, step.launch and step.launch.number) for step in rest_after(steps, 2)] == [
        ("launched", 3),
        ("cut", None),
    ]


@st.composite
def runs(draw: st.DrawFn) -> list[Json]:
    """The lines of a run with several workers and some kills."""
    lines, flying, count = [SESSION], list[int](), 0
    for _ in range(draw(st.integers(0, 25))):
        match draw(st.sampled_from(["launch", "launch", "land", "land", "kill"])):
            case "launch":
                lines.append(launched(count, count + 1))
                flying.append(count)
                count += 1
            case "land" if flying:
                lines.append(landed(flying.pop(draw(st.integers(0, len(flying) - 1)))))
            case "kill":
                lines.append(SESSION)
                flying.clear()
    return lines


@given(runs())
def test_from_wherever_it_is_taken_up_a_replay_lands_all_in_the_recorded_order(lines: list[Json]) -> None:
    launches = launches_of(lines)
    steps = steps_of(lines, launches)
    landings = [step.launch for step in steps if step.kind == "landed"]
    assert [each.number for each in launches if each.landed] == sorted(each.number for each in landings if each)
    for done in range(len(landings) + 1):
        rest = rest_after(steps, done)
        assert [step.launch for step in rest if step.kind == "landed"] == landings[done:]
        flying: set[int] = set()
        for step in rest:  # nothing lands that was not launched, nothing is launched twice
            if step.kind == "cut":
                flying.clear()
            elif step.launch is not None and step.kind == "launched":
                assert step.launch.number not in flying
                if step.landed is not None:
                    assert step.landed == {each.number for each in landings[:done] if each} & step.landed
                    assert not step.landed & step.flying
                flying.add(step.launch.number)
            elif step.launch is not None:
                flying.remove(step.launch.number)
        assert not flying
