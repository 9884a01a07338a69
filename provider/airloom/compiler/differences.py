"""What differs between two plans, and between their code: data for people and for programs.

Line numbers are left out: they move with every line of code, which the code's own difference shows.
"""

from __future__ import annotations

import difflib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from airloom import codec
from airloom.codec import Json
from airloom.plan import Plan

_ABSENT: dict[str, Json] = {}
_OWN_SECTIONS = ("steps", "parameters", "configs", "code", "plan_version")
_NOISE = ("line",)

Values = dict[str, tuple[Json, Json]]
"""By field, dotted where it lies deeper: the value before and the one after; None where there was none."""


@dataclass(frozen=True, slots=True)
class Section:
    """What came, what went and what is other, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, Values] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Files:
    """Files of the code that came, went, or have other bytes."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Differences:
    """All that a deploy would change: of the flow as a whole, its parameters, configs, steps, code."""

    flow: Values
    parameters: Section
    configs: Section
    steps: Section
    files: Files
    dag_file: bool = False

    def __bool__(self) -> bool:
        parts = (self.flow, self.parameters, self.configs, self.steps, self.files, self.dag_file)
        return any(map(bool, parts))


def differences(before: Plan, after: Plan, files: Files, *, dag_file: bool = False) -> Differences:
    """Compare two plans of a flow.

    Parameters
    ----------
    files
        As `differing_files` gives it.
    dag_file
        Whether the text of the DAG file differs, which templates can make of the same plan.
    """
    old, new = _plain(before), _plain(after)
    return Differences(
        flow=_values(
            {name: value for name, value in old.items() if name not in _OWN_SECTIONS},
            {name: value for name, value in new.items() if name not in _OWN_SECTIONS},
        ),
        parameters=_section(_by_name(old["parameters"]), _by_name(new["parameters"])),
        configs=_section(_as_dict(old["configs"]), _as_dict(new["configs"])),
        steps=_section(_by_name(old["steps"]), _by_name(new["steps"])),
        files=files,
        dag_file=dag_file,
    )


def differing_files(before: bytes, after: bytes) -> Files:
    """Compare the files of two code packages, given as their bytes."""
    old, new = _contents(before), _contents(after)
    return Files(
        added=tuple(sorted(set(new) - set(old))),
        removed=tuple(sorted(set(old) - set(new))),
        changed=tuple(sorted(name for name in set(old) & set(new) if old[name] != new[name])),
    )


def unified(before: bytes, after: bytes) -> Iterator[str]:
    """Give the lines in which the text files of two code packages differ, as ``diff -u`` does."""
    old, new = _contents(before), _contents(after)
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        if one == other:
            continue
        texts = [_text(one), _text(other)]
        if None in texts:
            yield f"Binary files differ: {name}"
            continue
        yield from difflib.unified_diff(
            (texts[0] or "").splitlines(),
            (texts[1] or "").splitlines(),
            "/dev/null" if one is None else f"before/{name}",
            "/dev/null" if other is None else f"after/{name}",
            lineterm="",
        )


def _plain(plan: Plan) -> dict[str, Json]:
    return _as_dict(codec.to_json(plan))


def _as_dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _by_name(items: Json) -> dict[str, Json]:
    found = items if isinstance(items, list) else []
    return {str(item["name"]): item for item in found if isinstance(item, dict)}


def _section(before: Mapping[str, Json], after: Mapping[str, Json]) -> Section:
    changed = {name: _values({"": before[name]}, {"": after[name]}) for name in after if name in before}
    return Section(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed={name: values for name, values in changed.items() if values},
    )


def _values(before: Mapping[str, Json], after: Mapping[str, Json], prefix: str = "") -> Values:
    found: Values = {}
    for name in [*before, *(name for name in after if name not in before)]:
        if name in _NOISE:
            continue
        old, new = before.get(name), after.get(name)
        path = ".".join(part for part in (prefix, name) if part)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= _values(old, new, path)
        elif isinstance(old, dict) and new is None:
            found |= _values(old, _ABSENT, path) or {path: (old, new)}
        elif isinstance(new, dict) and old is None:
            found |= _values(_ABSENT, new, path) or {path: (old, new)}
        elif old != new:
            found[path] = (old, new)
    return found


def _contents(archive: bytes) -> dict[str, bytes]:
    if not archive:
        return {}
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _text(data: bytes | None) -> str | None:
    """Text of a file, the empty one for a file that is not there; None when it is no text."""
    try:
        text = (data or b"").decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
