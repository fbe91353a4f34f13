"""`clade report`: one page that is safe, whole and the same each time, of runs in any state and of simulated ones."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from archive import Archive, Call, Decision, Outcome
from evolve.cli import main
from evolve.report.facts import read_run
from evolve.report.making import make, named, sorted_out
from evolve.report.page import page
from evolve.report.sheet import sheet
from evolve.report.style import blank, saved, styled
from evolve.settings import SettingsError
from evolve.simulate import Checkpoint, Plan, Results, Study, Trace, preset

TOML = 'seed = {seed}\n[policy]\nname = "hgm"\n'
SCRIPT = "<script>document.title='broken'</script>"
IMAGE = '"><img src=x onerror="document.title=\'broken\'">'
ESCAPE = "\x1b]0;broken\x07\x1b[31mred\u202e"
LONG = (SCRIPT + IMAGE + ESCAPE + "\n") * 50_000
"""More than 5 MB."""


class Reader(HTMLParser):
    """The page's elements and its text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


def clade(*arguments: object) -> Result:
    """As the command line: with its exit codes. (Skills with wide errors, also where a fixture of a module asks.)"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolve.statistics.beliefs.DRAWS", 40)
        return CliRunner(env={"COLUMNS": "80"}).invoke(main, [str(argument) for argument in arguments])


def small(
    folder: Path, *, seed: int = 1, verdicts: int = 6, entry: str = "task:a", issue: str = "", task: str = "t"
) -> Path:
    """A run of a seed and a child, with so many verdicts each; none: only the seed."""
    toml = TOML.format(seed=seed)
    folder.mkdir(parents=True)
    (folder / "run.toml").write_text(toml)
    number = iter(range(1000))

    def decide(move: str, agent: int, task: str | None = None) -> Decision:
        return Decision(next(number), "hgm", move, agent, task, "{}", datetime.now(UTC))

    with Archive.create(folder, about={"settings": toml}) as archive:
        archive.add_seed({"__main__.py": b"seed\n"}, "seed")
        if not verdicts:
            return folder
        row = archive.open_expansion(decide("expand", 0), entry=entry, seed=1)
        archive.close_expansion(
            row.id, Outcome.BORN, reason="", issue=issue, files={"__main__.py": b"child\n"}, shape="child", seconds=1.0,
            calls=[Call("improve", "offline:repair", 10, 0, 5, 0.5, 0.1, 0, "ok")],
        )  # fmt: skip
        for agent in (0, 1):
            for place in range(verdicts):
                name = f"{task}{place}"
                row = archive.open_evaluation(
                    decide("evaluate", agent, name), agent=agent, benchmark="repair", split="search", task=name,
                    attempt=0, seed=1,
                )  # fmt: skip
                good = agent == 1 and place < verdicts - 1
                archive.close_evaluation(row.id, Outcome.RESOLVED if good else Outcome.UNRESOLVED, reason="")
    return folder


@pytest.fixture(scope="module")
def made(grown: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Result]:
    """The report of the grown run, with its figures."""
    folder = tmp_path_factory.mktemp("report")
    output, figures = folder / "deep" / "page.html", folder / "figures"
    return output, figures, clade("report", grown, "-o", output, "--figures", figures, "--json")


@pytest.fixture(scope="module")
def again(made: tuple[Path, Path, Result], grown: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A copy of the grown run that was reported as well, and what was said."""
    copy = tmp_path_factory.mktemp("copies") / "demo"
    shutil.copytree(grown, copy)
    return copy, clade("report", copy).output


def test_it_writes_a_page_and_says_so(made: tuple[Path, Path, Result]) -> None:
    output, figures, result = made
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["written"][0] == str(output)
    assert sorted(map(str, figures.iterdir())) == sorted(document["written"][1:])
    text = read(output.read_text("utf-8")).text
    for said in ("Run demo", "Best belief: agent", "McNemar", "born to mend", "task:HumanEval/0", "15 agents in"):
        assert said in text
    assert document["runs"][0]["course"][-1]["evaluations"] == len(document["runs"][0]["course"])


def test_it_loads_and_executes_nothing(made: tuple[Path, Path, Result]) -> None:
    html = made[0].read_text("utf-8")
    found = read(html)
    policy = next(each["content"] for each in found.of("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "script-src" not in policy
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & {tag for tag, _ in found.elements}
    assert all((each["src"] or "").startswith("data:image/svg+xml;base64,") for each in found.of("img"))
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert "http:" not in html
    assert "https:" not in html


def test_every_figure_is_there_with_words_for_who_cannot_see_it(made: tuple[Path, Path, Result]) -> None:
    output, figures, _ = made
    names = {path.stem for path in figures.iterdir()}
    assert names == {
        "best-evaluations", "best-hours", "best-dollars", "paired", "tree", "agents", "cmp", "outcomes"
    }  # fmt: skip
    images = read(output.read_text("utf-8")).of("img")
    assert all(len(each["alt"] or "") > 30 for each in images)
    drawn = {base64.b64decode((each["src"] or "").partition(",")[2]) for each in images}
    assert drawn == {(figures / f"{name}.svg").read_bytes() for name in names}
    for name in names:
        assert ElementTree.parse(figures / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert (figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_equal_archives_give_equal_bytes(made: tuple[Path, Path, Result], again: tuple[Path, str]) -> None:
    copy, said = again
    assert said == f"wrote {copy / 'report.html'}, {made[0].stat().st_size / 1e6:.1f} MB\n"
    assert (copy / "report.html").read_bytes() == made[0].read_bytes()


def test_no_mean_without_its_interval(made: tuple[Path, Path, Result]) -> None:
    def bare(value: object) -> bool:
        if isinstance(value, dict):
            lonely = value.get("mean") is not None and not {"low", "high"} <= value.keys()
            return lonely or any(map(bare, value.values()))
        return isinstance(value, list) and any(map(bare, value))

    assert not bare(json.loads(made[2].stdout))


def test_a_run_of_only_the_seed_that_is_being_written(tmp_path: Path) -> None:
    folder = small(tmp_path / "young", verdicts=0)
    with Archive.open(folder, write=True):
        assert clade("report", folder).exit_code == 0
    text = read((folder / "report.html").read_text("utf-8")).text
    assert "Nothing was measured yet." in text
    assert "running" in text


def hostile(folder: Path) -> str:
    """The page of a run whose agents and tasks attack its reader. Without figures: no stranger's word is in them."""
    run = small(folder / SCRIPT.replace("/", "|"), entry=IMAGE + ESCAPE, issue=LONG, task=SCRIPT + IMAGE + ESCAPE)
    return page("Clade", sheet(read_run(run), {}))


def test_what_agents_and_tasks_wrote_stays_text(tmp_path: Path) -> None:
    html = hostile(tmp_path)
    assert len(html) < 200_000
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", html)
    found = read(html)
    assert not found.of("script")
    assert not found.of("img")
    assert found.text.count(SCRIPT) > 3
    assert IMAGE in found.text
    assert "\\x1b[31mred\\u202e" in found.text
    assert f"({len(LONG):,} characters in all)" in found.text


@pytest.mark.browser
def test_what_agents_and_tasks_wrote_does_nothing_in_a_browser(tmp_path: Path) -> None:
    import subprocess

    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next((path for name in names if (path := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no chromium is installed")
    html = hostile(tmp_path)
    without_policy = re.sub(r'<meta http-equiv="[^>]*>', "", html)
    assert without_policy != html
    for number, text in enumerate((html, without_policy)):  # escaping alone must do; the policy is the second wall
        file = tmp_path / f"page{number}.html"
        file.write_text(text, "utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        done = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=100)
        assert "<title>Clade</title>" in done.stdout
        assert not read(done.stdout).of("script")
        assert not read(done.stdout).of("img")


def test_several_runs_over_each_other(tmp_path: Path) -> None:
    folders = [small(tmp_path / name / "run", seed=seed) for seed, name in enumerate(("a", "b"))]
    folders.append(small(tmp_path / "c", verdicts=0))
    report = make(folders)
    text = read(report.page).text
    assert "3 runs together" in text
    assert "a/run" in text
    assert "b/run" in text
    assert [picture.name for picture, _ in report.pictures] == ["best-evaluations", "best-hours", "best-dollars"]
    labels = report.pictures[0][0].figure.legends[0].get_texts()
    assert [label.get_text() for label in labels] == ["hgm, 2 seeds: a/run, b/run"]


def test_a_run_named_twice_is_one(tmp_path: Path) -> None:
    folder = small(tmp_path / "run", verdicts=0)
    folders, files = sorted_out([folder, folder / "." / ".." / "run"])
    assert (folders, files) == ([folder], [])
    assert [run.name for run in named(folders, [read_run(folder)])] == ["run"]


def trace(seed: int, skill: float, budget: int = 50) -> Trace:
    points = [
        Checkpoint(at, at // 10, 2 + at // 10, at / 25, at * 0.1, 1, skill * at / budget, 0.4, skill + 0.1)
        for at in (budget // 2, budget)
    ]
    return Trace(seed, 0.0, 0, "the budget is spent", tuple(points))


def studies(folder: Path, policies: tuple[str, ...] = ("hgm", "dgm")) -> Path:
    from evolve.cli.simulate import POLICIES

    world = preset("swe")
    for place, policy in enumerate(policies):
        study = Study(world.name, world.settings, POLICIES[policy](), Plan(evaluations=50, workers=2))
        with Results(folder, study) as results:
            results.add(trace(seed, 0.4 + 0.02 * seed + 0.1 * place) for seed in range(4))
    return folder


def test_simulated_runs_with_bands_over_seeds(tmp_path: Path) -> None:
    folder = studies(tmp_path / "studies")
    with (folder / "swe" / "hgm.jsonl").open("a") as file:
        file.write('{"seed": 9, "seed_sk')  # being written
    assert clade("report", folder, "--json").exit_code == 0
    html = (folder / "report.html").read_text("utf-8")
    text = read(html).text
    assert "World swe: 50 evaluations, 2 workers, 4 seeds" in text
    assert "beyond hgm, points" in text
    assert "10.0 (10.0 to 10.0)" in text
    assert len(read(html).of("img")) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere"], 2, "does not exist"),
        (["nothing"], 2, "neither a run nor a folder that `clade simulate --out` wrote"),
        (["empty.jsonl"], 2, "not a file of simulated runs"),
        ([], 2, "Missing argument"),
        (["begun"], 1, "has not begun"),
    ],
)
def test_what_cannot_be_reported_is_refused_in_a_sentence(
    arguments: list[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "begun").mkdir()
    (tmp_path / "nothing").mkdir()
    (tmp_path / "begun" / "run.toml").write_text(TOML.format(seed=1))
    result = clade("report", *arguments)
    assert result.exit_code == code
    assert said in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_without_matplotlib_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = clade("report", small(tmp_path / "run", verdicts=0))
    assert result.exit_code == 2
    assert "pip install 'clade-evolve[report]'" in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_a_page_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = small(tmp_path / "run", verdicts=0)
    taken = tmp_path / "taken"
    taken.write_text("a file")
    result = clade("report", folder, "-o", taken / "page.html")
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "taken"]


def test_a_readers_own_settings_of_matplotlib_do_not_show() -> None:
    import matplotlib

    def drawn() -> bytes:
        with styled():
            figure, axes = blank(1.0)
            axes.set_xlabel("an agent's $ and another $")
            return saved(figure, "svg")

    plain = drawn()
    with matplotlib.rc_context({"font.size": 20, "svg.fonttype": "none", "text.parse_math": True}):
        assert drawn() == plain
        assert matplotlib.rcParams["font.size"] == 20


def test_runs_without_a_seed_in_common_are_refused(tmp_path: Path) -> None:
    from evolve.report.studies import read_worlds, study_files

    folder = studies(tmp_path / "studies")
    lines = (folder / "swe" / "dgm.jsonl").read_text().splitlines()
    (folder / "swe" / "dgm.jsonl").write_text("\n".join([lines[0], json.dumps(trace(77, 0.5).facts())]) + "\n")
    with pytest.raises(SettingsError, match="no seed in common"):
        read_worlds(study_files(folder))


def test_policies_without_a_seed_that_all_have_are_refused(tmp_path: Path) -> None:
    """Each pair with the reference has seeds in common, and yet there is no curve over seeds of all."""
    folder = studies(tmp_path / "studies", ("hgm", "dgm", "kin"))
    for policy, seeds in (("dgm", (0, 1)), ("kin", (2, 3))):
        path = folder / "swe" / f"{policy}.jsonl"
        about = path.read_text().splitlines()[0]
        path.write_text("\n".join([about, *(json.dumps(trace(seed, 0.5).facts()) for seed in seeds)]) + "\n")
    result = clade("report", folder)
    assert result.exit_code == 2 and "no seed in common" in result.output


def test_one_policy_several_ways_is_several_lines_each_called_by_its_options(tmp_path: Path) -> None:
    from evolve.cli.policy_option import policy_called

    world = preset("swe")
    ways = ["kin", "kin:optimism=2.0", "kin:optimism=3.0"]
    for folder in (tmp_path / "one" / "studies", tmp_path / "two" / "studies", tmp_path / "three" / "studies"):
        for way in ways:
            study = Study(world.name, world.settings, policy_called(way), Plan(evaluations=50, workers=2))
            with Results(folder, study) as results:
                results.add(trace(seed, 0.4 + 0.02 * seed) for seed in range(3))
    result = clade("report", *tmp_path.glob("*/studies"), "-o", tmp_path / "page.html", "--json")
    assert result.exit_code == 0, result.output
    (found,) = json.loads(result.stdout)["worlds"]
    labels = {row["policy"] for row in found["rows"]}
    assert len(labels) == 9 and labels > set(ways)


def test_seeds_that_only_some_policies_have_are_told(tmp_path: Path) -> None:
    folder = studies(tmp_path / "studies")
    path = folder / "swe" / "dgm.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    assert clade("report", folder).exit_code == 0
    html = (folder / "report.html").read_text("utf-8")
    assert "2 workers, seeds: " in html and "hgm 4" in html and "dgm 2" in html
    assert "interval over 2 seeds" in html


def test_a_run_may_be_called_anything(tmp_path: Path) -> None:
    """Every run is in the legend, and a script that the figures' font has not gives no warning (which is an error)."""
    from evolve.report.overlay import overlaid

    folders = [small(tmp_path / name, seed=seed) for seed, name in enumerate(("_first", "日本語"))]
    second = (folders[1] / "run.toml").read_text()
    (folders[1] / "run.toml").write_text(second.replace("hgm", "greedy"))
    with styled():
        pictures = overlaid([read_run(folder) for folder in folders])
        for picture in pictures:
            (legend,) = picture.figure.legends
            assert [text.get_text() for text in legend.get_texts()] == [" _first (hgm)", "日本語 (greedy)"]
            assert saved(picture.figure, "svg")
