"""``check``, and how flows are named on the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Ended

Airloom = Callable[..., "Ended"]
Write = Callable[..., Path]
BAD = Path(__file__).parents[1] / "flows" / "bad"
GOOD = Path(__file__).parents[1] / "flows" / "good"
HELLO = """
class Hello(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def test_a_good_flow_is_well(airloom: Airloom, write: Write) -> None:
    write("flow.py", HELLO)
    done = airloom("check", "flow.py")
    assert done.code == 0
    assert re.fullmatch(r"Hello: 2 steps, all is well\. Plan b3:[0-9a-f]{8}\.\n", done.out)


def test_checking_writes_nothing(airloom: Airloom, write: Write) -> None:
    folder = write("flow.py", HELLO).parent
    before = sorted(folder.iterdir())
    airloom("check", "flow.py")
    assert [file for file in sorted(folder.iterdir()) if file.name != "__pycache__"] == before


def test_all_findings_of_a_bad_flow_are_told_with_file_and_line(airloom: Airloom) -> None:
    done = airloom("check", str(BAD / "three_findings.py"))
    assert done.code == 2
    assert done.out == ""
    assert done.err.count("mend:") == 3
    assert len(re.findall(r"where: .*three_findings\.py:\d+", done.err)) == 3
    assert "Traceback" not in done.err


@pytest.mark.parametrize("verb", ["check", "show", "run"])
def test_a_bad_flow_is_refused_by_every_verb_in_the_same_words(airloom: Airloom, verb: str) -> None:
    done = airloom(verb, str(BAD / "three_findings.py"))
    assert (done.code, done.err.count("mend:")) == (2, 3)
    assert not Path(".airloom").exists()


def test_a_decorators_wrong_argument_is_told_with_its_line(airloom: Airloom, write: Write) -> None:
    write("flow.py", HELLO.replace("    @step\n    def end", "    @retry(times=-1)\n    @step\n    def end"))
    done = airloom("check", "flow.py")
    assert done.code == 2
    assert re.search(r"@retry: times=-1 is refused.*\n  where: .*flow\.py:9", done.err)


TWO = HELLO + HELLO.replace("Hello", "Other")


def test_one_of_two_flows_in_a_file_is_named(airloom: Airloom, write: Write) -> None:
    write("flow.py", TWO)
    assert airloom("check", "flow.py:Other").out.startswith("Other: 2 steps")
    assert airloom("check", "flow.py:Hello").out.startswith("Hello: 2 steps")


def test_two_flows_in_a_file_are_refused_with_their_names(airloom: Airloom, write: Write) -> None:
    write("flow.py", TWO)
    done = airloom("check", "flow.py")
    assert done.code == 2
    assert "defines 2 flows" in done.err
    assert "name one with FILE:CLASS; it defines Hello, Other." in done.err


def test_an_imported_flow_is_not_the_files_own(airloom: Airloom, write: Write) -> None:
    write("base_flow.py", HELLO)
    write("flow.py", "from base_flow import Hello\nclass Mine(Hello):\n    pass\n")
    assert airloom("check", "flow.py").out.startswith("Mine: 2 steps")


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ("none.py", "there is no such file"),
        ("flow.py:Nobody", "defines no flow 'Nobody'"),
        (".", "there is no such file"),
        ("empty.py", "defines 0 flows"),
    ],
)
def test_what_is_no_flow_is_refused(airloom: Airloom, write: Write, named: str, told: str) -> None:
    write("flow.py", HELLO)
    write("empty.py", "")
    done = airloom("check", named)
    assert done.code == 2
    assert told in done.err
    assert "mend:" in done.err


def test_a_file_with_a_syntax_error_shows_the_line(airloom: Airloom, write: Write) -> None:
    write("flow.py", "class Hello(FlowSpec)\n    pass\n")
    with pytest.raises(SyntaxError, match="expected ':'"):
        airloom("check", "flow.py")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_of_the_program_lists_the_verbs(airloom: Airloom, arguments: tuple[str, ...]) -> None:
    done = airloom(*arguments)
    text = done.out + done.err
    for verb in ("artifacts", "check", "deploy", "logs", "run", "runs", "sandbox", "settings", "show"):
        assert re.search(rf"^  {verb} ", text, re.MULTILINE)


@pytest.mark.parametrize("verb", ["check", "show", "run", "deploy", "sandbox", "resume"])
def test_help_of_a_verb_without_a_flow_says_how_to_name_one(airloom: Airloom, verb: str) -> None:
    for arguments in ((verb,), (verb, "--help")):
        done = airloom(*arguments)
        assert done.code == 0
        assert f"Usage: airloom {verb} FILE[:CLASS]" in done.out


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("chekc", "flow.py"), "'check'"),
        (("show", "flow.py", "--fromat", "dot"), "'--format'"),
        (("show", "flow.py", "--format", "png"), "'dot'"),
        (("run", "flow.py", "--max-wokers", "2"), "'--max-workers'"),
    ],
)
def test_what_is_not_known_is_refused_and_what_is_near_is_named(
    airloom: Airloom, write: Write, arguments: tuple[str, ...], meant: str
) -> None:
    write("flow.py", HELLO)
    done = airloom(*arguments)
    assert done.code == 2
    assert meant in done.err
    assert not Path(".airloom").exists()
