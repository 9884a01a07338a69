"""Pathspecs, and the safe ids and keys made of their parts.

A pathspec is ``Flow/run/step/task/artifact``, or a prefix of it. A task is named by
its index path: ``0`` outside every foreach, ``3`` inside one, ``3.1`` inside two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from airloom.errors import NotFound

# Airflow's own rule for run ids, core/run_id pattern of 3.x: no slash, no space.
_RUN = re.compile(r"[A-Za-z0-9_.~:+-]+\Z")
# Ids of DAGs and tasks, too: Airflow's own rule for them (airflow.utils.helpers.KEY_REGEX of 3.x).
_FLOW = re.compile(r"[.-]*\w[\w.-]*\Z")
_STEP = re.compile(r"[.-]*\w[\w.-]*\Z")
_TASK = re.compile(r"\d+(\.\d+)*\Z")
# Keys of XComs are names of artifacts; one with a slash has no pathspec.
_ARTIFACT = re.compile(r"[^/\n]+\Z")

Indices = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pathspec:
    """A parsed pathspec; the parts that are not named are None.

    >>> Pathspec.parse("Train/7/fit/2").task
    '2'
    >>> str(Pathspec("Train", "7"))
    'Train/7'
    """

    flow: str
    run: str | None = None
    step: str | None = None
    task: str | None = None
    artifact: str | None = None

    def __str__(self) -> str:
        parts = (self.flow, self.run, self.step, self.task, self.artifact)
        return "/".join(part for part in parts if part is not None)

    @property
    def depth(self) -> int:
        """How many parts are named: 1 for a flow to 5 for an artifact."""
        return len(str(self).split("/"))

    @classmethod
    def parse(cls, text: str) -> Pathspec:
        """Read a pathspec.

        Raises
        ------
        NotFound
            When a part could not name anything.
        """
        parts = text.split("/")
        rules = (_FLOW, _RUN, _STEP, _TASK, _ARTIFACT)
        if len(parts) > len(rules) or not all(
            rule.match(part) for rule, part in zip(rules, parts, strict=False)
        ):
            raise NotFound(
                f"{text!r} is not a pathspec",
                where=text,
                mend="write Flow/run/step/task/artifact or a part of it from the left, e.g. Train/7/fit/2.",
            )
        return cls(*parts)


def task_id(indices: Indices) -> str:
    """Name a task by its foreach indices, outermost first.

    >>> task_id(()), task_id((3,)), task_id((3, 1))
    ('0', '3', '3.1')
    """
    return ".".join(map(str, indices)) if indices else "0"


def indices_of(task: str, depth: int) -> Indices:
    """Read a task id back; ``depth`` is the number of foreaches around its step.

    >>> indices_of("0", 0), indices_of("0", 1), indices_of("3.1", 2)
    ((), (0,), (3, 1))
    """
    if depth == 0:
        return ()
    return tuple(int(part) for part in task.split("."))


def escape(part: str) -> str:
    """Make one key segment of any name; two names never give one segment.

    >>> escape("manual__2026-11-24T10:00:00+00:00")
    'manual__2026-11-24T10%3A00%3A00%2B00%3A00'
    >>> escape(".."), unescape(escape(".."))
    ('%2E.', '..')
    """
    text = quote(part, safe="")
    return "%2E" + text[1:] if text.startswith(".") else text


def unescape(segment: str) -> str:
    """Give the name that `escape` made this segment of."""
    return unquote(segment)


def did_you_mean(name: str, known: list[str]) -> str:
    """End of a message that names the nearest known name, or all of a few.

    >>> did_you_mean("strat", ["start", "end"])
    "did you mean 'start'?"
    """
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are: {', '.join(known[:20])}." if known else "there are none."


def pack_indices(places: list[Indices], most: int) -> list[str]:
    """Texts that name all these tasks, ``most`` texts at the most; each names neighbours.

    >>> pack_indices([(0,), (1,), (2,)], 3)
    ['0', '1', '2']
    >>> pack_indices([(0, 0), (0, 1), (0, 2), (1, 0)], 2)
    ['0.0..0.1', '0.2,1.0']
    """
    size = -(-len(places) // most) if most else 1
    return [_text(places[start : start + size]) for start in range(0, len(places), max(size, 1))]


def _text(places: list[Indices]) -> str:
    runs: list[list[Indices]] = []
    for place in places:
        before = runs[-1][-1] if runs else ()
        if before and place[:-1] == before[:-1] and place[-1] == before[-1] + 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return ",".join(
        task_id(run[0]) if len(run) == 1 else f"{task_id(run[0])}..{task_id(run[-1])}" for run in runs
    )


def unpack_indices(text: str, depth: int) -> list[Indices]:
    """Tasks that a text of `pack_indices` names; the empty text names the one outside of every foreach.

    >>> unpack_indices("0.0..0.1,1.0", 2), unpack_indices("", 0)
    ([(0, 0), (0, 1), (1, 0)], [()])
    """
    places: list[Indices] = []
    for part in (text or "0").split(","):
        first, _, last = part.partition("..")
        begin, end = indices_of(first, depth), indices_of(last or first, depth)
        if begin == end:
            places.append(begin)
        else:
            places += [(*begin[:-1], number) for number in range(begin[-1], end[-1] + 1)]
    return places
