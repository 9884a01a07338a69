"""Errors: each says what, where and how to mend it, survives a process's border, and is in the tree."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Iterator

import pytest

from airloom import errors
from airloom.errors import AirloomError, CheckFailed, GraphError, NotFound, Place
from airloom.flow.spec import MissingInMergeArtifacts, UnhandledInMergeArtifacts


def below(cls: type[AirloomError]) -> Iterator[type[AirloomError]]:
    yield cls
    for sub in cls.__subclasses__():
        if sub.__module__ == errors.__name__:
            yield from below(sub)


CLASSES = list(below(AirloomError))


def example(cls: type[AirloomError]) -> AirloomError:
    if cls is CheckFailed:
        findings = [GraphError(f"finding {n}", where=Place("flow.py", n), mend="mend it.") for n in (1, 2)]
        return CheckFailed(list(findings), where="flow.py")
    return cls("4 is not 5", where=Place("flow.py", 7, "fit"), mend="write 5.")


def drawn() -> dict[str, str]:
    """Each class of the docstring's tree, with the one that it stands under."""
    above: list[str] = []
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:\|   |    )*)(?:(?:\|--|`--) )?([A-Z]\w+)", line)
        if match is None:
            continue
        depth = len(match[1]) // 4 + (1 if "--" in line[: match.start(2)] else 0)
        above[depth:] = [match[2]]
        found[match[2]] = above[depth - 1] if depth else ""
    return found


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    real = {cls.__name__: cls.__mro__[1].__name__ for cls in CLASSES if cls is not AirloomError}
    assert drawn() == {"AirloomError": "", **real}


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_crosses_to_another_process_as_it_is(cls: type[AirloomError]) -> None:
    error = example(cls)
    error.extra = [1]  # type: ignore[attr-defined]
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is cls
        assert str(back) == str(error)
        assert vars(back)["extra"] == [1]
        assert (back.what, back.where, back.mend) == (error.what, error.where, error.mend)


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not CheckFailed])
def test_every_error_shows_what_where_and_how_to_mend_it(cls: type[AirloomError]) -> None:
    assert str(example(cls)) == "4 is not 5\n  where: flow.py:7, step 'fit'\n  mend:  write 5."
    with pytest.raises(TypeError):
        cls("what alone")  # type: ignore[call-arg]


def test_kinds_are_words_of_their_own() -> None:
    kinds = [cls.kind for cls in CLASSES]
    assert len(set(kinds)) == len(kinds)
    assert all(re.fullmatch(r"[a-z_]+", kind) for kind in kinds)


def test_exit_codes_tell_the_branches_of_the_tree_apart() -> None:
    branches = [cls for cls in CLASSES if cls.__mro__[1] is AirloomError]
    codes = [cls.exit_code for cls in branches]
    assert len(set(codes)) == len(codes)
    assert all(0 < code < 126 for code in codes)
    for cls in CLASSES:
        assert cls.exit_code in codes or cls is AirloomError


def test_what_may_go_well_the_next_time_is_retriable() -> None:
    assert {cls.__name__ for cls in CLASSES if cls.retriable} == {
        "StoreUnavailable",
        "StepFailed",
        "StepTimedOut",
    }


def test_not_found_is_a_key_error_and_reads_well() -> None:
    error = example(NotFound)
    assert isinstance(error, KeyError)
    assert str(error).startswith("4 is not 5\n")


def test_a_failed_check_shows_all_findings_and_counts_them() -> None:
    error = example(CheckFailed)
    assert error.what == "the flow has 2 problems"
    assert str(error).count("mend:") == 2
    assert [finding.what for finding in error.findings] == ["finding 1", "finding 2"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [UnhandledInMergeArtifacts, MissingInMergeArtifacts])
def test_the_errors_of_a_merge_keep_their_names(
    cls: type[UnhandledInMergeArtifacts] | type[MissingInMergeArtifacts],
) -> None:
    back = pickle.loads(pickle.dumps(cls("MyFlow", ["x", "y"])))
    assert back.artifact_names == ["x", "y"]
    assert "x, y" in str(back)


@pytest.mark.parametrize(
    ("place", "text"),
    [(Place("a.py"), "a.py"), (Place("a.py", 3), "a.py:3"), (Place("a.py", 3, "fit"), "a.py:3, step 'fit'")],
)
def test_a_place_reads_as_editors_know_it(place: Place, text: str) -> None:
    assert str(place) == text
