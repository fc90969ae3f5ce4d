"""The command line as a whole: the map, suggestions, completion, colours, the number of a stage."""

import os

import pytest
from tiny import Tiny, captured

from lockstep.cli import ALIASES, VERBS, main
from lockstep.terminal import fail, show, table


def printed(*words: str) -> tuple[int, str]:
    """The exit code of a command and what it printed."""
    with captured() as output:
        code = main(words)
    return code, output[0]


def test_alone_it_shows_the_commands_of_a_day() -> None:
    code, output = printed()
    assert code == 0
    assert output.startswith("uv run dvc repro ")
    assert all(len(line) <= 100 for line in output.splitlines())


@pytest.mark.parametrize(
    ("typed", "meant"), [("dif", "diff"), ("promot", "promote"), ("comparee", "compare")]
)
def test_a_mistyped_verb_gets_a_suggestion(typed: str, meant: str) -> None:
    code, output = printed(typed)
    assert (code, f"did you mean {meant}?" in output) == (2, True), output


def test_an_alias_does_what_its_verb_does(tiny_published: Tiny) -> None:
    assert set(ALIASES.values()) <= set(VERBS)
    assert tiny_published.lockstep("compare", "--json") == tiny_published.lockstep("runs", "--json")


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_verbs_and_options(shell: str) -> None:
    code, script = printed("--print-completion", shell)
    assert code == 0
    assert all(verb in script for verb in VERBS)
    assert shell == "tcsh" or "--checkout-only" in script


def test_colours_are_for_people(monkeypatch: pytest.MonkeyPatch) -> None:
    def error() -> str:
        with captured() as output:
            fail("no [red]luck[/red]")
        return output[0]

    assert error() == "error: no [red]luck[/red]\n", "a pipe"
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1;31merror:" in error()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" not in error()


def test_a_verdict_has_its_colour_in_any_table(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = table(["version", "gate"], [["1", "passed"], ["failed runs", "-"]])
    monkeypatch.setenv("FORCE_COLOR", "1")
    with captured() as output:
        show(grid)
    assert "\x1b[32mpassed" in output[0]
    assert "\x1b[31m" not in output[0]


def test_a_stage_prints_its_number(tiny_project: Tiny) -> None:
    output = tiny_project.lockstep("compose", DVC_STAGE="compose")
    assert output.startswith("[1/5] compose\n")
    assert "[1/5]" not in tiny_project.lockstep("compose")
    assert tiny_project.answer("publish", DVC_STAGE="publish")[1].startswith("[5/5] publish\n")


def test_promote_and_doctor_agree_on_who_you_are(tiny_published: Tiny) -> None:
    tiny_published.env |= {"GIT_COMMITTER_NAME": "Ben", "GIT_COMMITTER_EMAIL": "ben@example.org"}
    output = tiny_published.lockstep("doctor", "--only", "git identity")
    assert "Ben <ben@example.org>" in output
    tiny_published.lockstep("promote")
    assert '"by": "Ben <ben@example.org>"' in tiny_published.lockstep("models", "--json")


def test_threads_spin_less_unless_the_user_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for chosen, expected in ({}, "1000"), ({"OMP_WAIT_POLICY": "active"}, None):
        monkeypatch.setattr(os, "environ", dict(chosen))
        printed()
        assert os.environ.get("GOMP_SPINCOUNT") == expected
