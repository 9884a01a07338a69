"""What a mapped task is called in Airflow's grid: the values of the foreaches that it stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from airloom.errors import AirloomError
from airloom.names import Indices, task_id
from airloom.runtime.lineage import ITEMS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airloom.plan import Plan, StepPlan
    from airloom.runtime.lineage import Lineage

LONGEST = 40
"""Signs of one value in a label; Airflow itself keeps 250 of the whole."""

_MOST_BYTES = 64 * 1024
_TEMPLATE = "{{ airloom_label }}"


def name_task(
    context: Context, plan: Plan, step: StepPlan, places: Sequence[Indices], lineage: Lineage
) -> None:
    """Let Airflow show a mapped task by its values; a template of the user's own stays.

    The label is a value of the template, never part of it: what a flow iterates over is rendered as it is.
    """
    map_index = context["ti"].map_index
    if map_index is None or map_index < 0 or context.get("map_index_template") is not None:
        return
    try:
        label = label_of(plan, step, places, lineage)
    except AirloomError:  # the task itself will tell what is missing
        return
    variables = {"airloom_label": label, "map_index_template": _TEMPLATE}
    context.update(variables)  # type: ignore[typeddict-item] # templates may see more than Airflow's own


def label_of(plan: Plan, step: StepPlan, places: Sequence[Indices], lineage: Lineage) -> str:
    """Label of the task for one index path, or for a range of them.

    Raises
    ------
    NotFound
        When a split has no committed attempt.
    """
    first, last = places[0], places[-1]
    if first == last:
        return _one(plan, step, first, lineage)
    return f"{_one(plan, step, first, lineage)} ... {_one(plan, step, last, lineage)}"


def _one(plan: Plan, step: StepPlan, indices: Indices, lineage: Lineage) -> str:
    texts = []
    for level, name in enumerate(step.foreaches[: len(indices)]):
        found = _value(plan.step(name), indices[: level + 1], lineage)
        if found is None:  # one that only its own code can read: no name is better than half of one
            return task_id(indices)
        texts.append(found)
    return " / ".join(texts)


def _value(split: StepPlan, indices: Indices, lineage: Lineage) -> str | None:
    parent = lineage.committed(split.name, indices[:-1])
    name = ITEMS if ITEMS in parent.artifacts else split.transition.variable
    record = parent.artifacts.get(name or "")
    # JSON alone: nothing is unpickled, and no large value loaded, for the sake of a name.
    if record is None or not record.serializer.startswith("json/") or record.size > _MOST_BYTES:
        return None
    items = parent.datastore.load_artifact(record, f"{parent.key.pathspec}/{name}").value
    try:
        return shown(items[indices[-1]])  # type: ignore[index] # what is iterated over is a list or a text
    except (IndexError, KeyError, TypeError):
        return None


def shown(value: object) -> str:
    """Text of a value on one line of at most `LONGEST` signs.

    >>> shown("north"), shown(3), shown({"a": [1]})
    ('north', '3', '{"a": [1]}')
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = "".join(sign if sign.isprintable() else " " for sign in text[: 2 * LONGEST]).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
