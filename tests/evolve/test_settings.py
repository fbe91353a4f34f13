"""run.toml: what it may say, and what a misspelling gets."""

from importlib.resources import files

import pytest

from evolve.policies import DGM, Kin
from evolve.settings import POLICIES, Settings, SettingsError, load, parse


def test_the_template_says_the_defaults_but_for_times_and_the_cache():
    template = parse(files("evolve").joinpath("template.toml").read_text("utf-8"))
    assert template == Settings(rollout={"solve_seconds": 10, "improve_seconds": 30}, cache={"evaluations": True})


def test_every_commented_setting_of_the_template_is_real():
    lines = files("evolve").joinpath("template.toml").read_text("utf-8").splitlines()
    text = "\n".join(line.removeprefix("# ") for line in lines if line.startswith("# ") and "=" in line.split("#")[1])
    names = [line.split("=")[0].strip() for line in text.splitlines()]
    assert {"usd", "tokens", "hours", "expansions", "agent", "database", "calls"} <= set(names)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("sed = 1", "there is no setting `sed`; did you mean `seed`?"),
        ("[budget]\nevaluation = 1", "there is no setting `budget.evaluation`; did you mean `evaluations`?"),
        ("[policy]\nname='hgm'\nalhpa = 0.5", "there is no setting `policy.alhpa`; did you mean `alpha`?"),
        ("[policy]\nname='dgm'\nalpha = 0.5", "there is no setting `policy.alpha`; the policy dgm has: epsilon"),
        ("[policy]\nname='hmg'", "there is no policy called 'hmg'; did you mean hgm?"),
        ("[policy]\nname='best'", "there is no policy called 'best'; did you mean best-of-n?"),
        ("[policy]\nname='x'", "there is no policy called 'x'; there are: "),
        ("[policy]\nname=3", "there is no policy called 3; there are: "),
        ("workers = 0", "`workers` = 0 does not fit"),
        ("workers = 'two'", "`workers` = 'two' does not fit"),
        ("[providers.mine]\nkind='openai'\nurll='x'", "there is no setting `providers.mine.urll`; did you mean `url`?"),
        ("workers = ", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_the_nearest_right_word(text, says):
    with pytest.raises(SettingsError) as error:
        parse(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", POLICIES)
def test_a_new_run_toml_needs_no_other_line_changed_for_another_policy(name):
    template = files("evolve").joinpath("template.toml").read_text("utf-8")
    assert parse(template.replace('\nname = "kin"', f'\nname = "{name}"')).policy.name == name


def test_policies_are_chosen_by_name():
    assert parse("[policy]\nname = 'dgm'\ngeneration = 4").policy == DGM(generation=4)
    assert parse("").policy == Kin()


def test_a_missing_file_says_how_to_make_it(tmp_path):
    with pytest.raises(SettingsError, match="clade init"):
        load(tmp_path)


def test_the_expansion_budget_has_room_for_failures():
    settings = parse("[budget]\nevaluations = 100")
    assert settings.expansion_budget > 100**0.6
    assert parse("[budget]\nexpansions = 3").expansion_budget == 3
