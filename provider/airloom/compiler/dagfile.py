"""From a plan to the text of its Airflow DAG, through the Jinja2 templates of `airloom.dag_templates`.

The templates get the plan, its layout (`compiler.layout`) and Airflow's params as text.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING

from airloom.compiler.layout import lay_out
from airloom.compiler.literals import docstring, python
from airloom.compiler.seals import seal
from airloom.errors import DeployError, FlowError, Place
from airloom.flow.flow_decorators import FINISHED
from airloom.names import did_you_mean
from airloom.plan import ParameterPlan, Plan, StepPlan

if TYPE_CHECKING:
    from jinja2 import Environment

_SHORT = 60
"""Signs of a text that is shown as an argument's default."""


def render(plan: Plan, *, templates: Path | None = None) -> str:
    """Text of the DAG file of a plan; the same plan gives the same bytes.

    Parameters
    ----------
    templates
        Folder whose templates come before Airloom's; a ``dag.py.j2`` there may extend
        ``airloom/dag.py.j2`` and fill its blocks.

    Raises
    ------
    FlowError
        When Airflow cannot run the plan.
    DeployError
        When a template of the folder cannot be rendered, or what it gives is not Python.
    """
    refuse(plan)
    params = [_param(parameter, alone=bool(plan.triggers)) for parameter in plan.parameters]
    text = _rendered(
        "dag.py.j2", templates, plan=plan, finished=FINISHED, layout=lay_out(plan), params=params
    )
    return seal(_python(text, templates), plan)


def render_group(plan: Plan, *, templates: Path | None = None) -> str:
    """Text of the module whose function places the flow into other DAGs, as a task group.

    Parameters
    ----------
    templates
        As for `render`; the template's name is ``task_group.py.j2``.

    Raises
    ------
    FlowError, DeployError
        As `render`; the flow's own schedule does not matter here.
    """
    for step in plan.steps:
        _refuse_target(plan, step)
    layout = lay_out(plan, group=True)
    arguments = [(name, _default(parameter), parameter) for name, parameter in layout.arguments]
    function = group_function(plan)
    text = _rendered(
        "task_group.py.j2", templates, plan=plan, function=function, layout=layout, arguments=arguments
    )
    return seal(_python(text, templates), plan, group=True)


def group_function(plan: Plan) -> str:
    """Name of the function that places a flow into other DAGs: ``train_flow`` for ``TrainFlow``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plan.flow)
    name = words.replace(".", "_").lower()
    return f"{name}_" if keyword.iskeyword(name) else name


def _default(parameter: ParameterPlan) -> str:
    """Python text of an argument's default; empty for one that has to be given.

    What is long, or what Airflow would take for a template, stays in the plan: None stands for it.
    """
    if parameter.required and parameter.default is None and parameter.digest is None:
        return ""
    default = parameter.default
    plain = isinstance(default, (bool, int, float, str)) and parameter.type != "file"
    if not plain or (isinstance(default, str) and ("{" in default or len(default) > _SHORT)):
        return "None"
    return python(default)


def _rendered(name: str, templates: Path | None, **values: object) -> str:
    from jinja2 import TemplateError

    # Beside Jinja's own errors: what the expressions of a template can raise.
    problems = (TemplateError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError)
    try:
        return _environment(templates).get_template(name).render(**values)
    except problems as error:
        raise DeployError(
            f"the DAG file cannot be rendered: {_told(error)}",
            where=str(templates or "airloom.dag_templates"),
            mend="mend the template.",
        ) from error


def _told(error: Exception) -> str:
    """Say what is wrong with a template, and in which line of which file."""
    line, file = getattr(error, "lineno", None), getattr(error, "filename", None)
    place = f" ({file or 'the template'}, line {line})" if line is not None else ""
    return f"{error}{place}"


def _python(text: str, templates: Path | None) -> str:
    """Give the text if it is Python.

    Raises
    ------
    DeployError
        When it is not; with the line that templates gave.
    """
    try:
        compile(text, "the DAG file", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        number = getattr(error, "lineno", None) or 0
        line = text.splitlines()[number - 1].strip() if 0 < number <= len(text.splitlines()) else ""
        raise DeployError(
            f"the templates give a file that is not Python: {getattr(error, 'msg', error)}, in its line "
            f"{number}: {line}",
            where=str(templates or "airloom.dag_templates"),
            mend="mend the block that this line comes from; nothing was written.",
        ) from error
    return text


def refuse(plan: Plan) -> None:
    """Refuse what Airflow cannot run, before anything is written.

    Raises
    ------
    FlowError
        When it cannot.
    """
    if plan.schedule is not None and plan.schedule.cron == "@once" and plan.triggers:
        raise FlowError(
            f"the flow {plan.flow} runs once and by triggers",
            where=f"{plan.module}.py",
            mend="leave @schedule away, and start it once by hand.",
        )
    for step in plan.steps:
        _refuse_target(plan, step)
    for parameter in plan.parameters:
        if (
            (plan.schedule is not None or _unfilled(plan, parameter))
            and parameter.required
            and parameter.default is None
        ):
            raise FlowError(
                f"the flow starts by itself, and its parameter {parameter.name!r} has no default",
                where=f"{plan.module}.py:{parameter.line}",
                mend="give it a default: nobody is there to fill it in."
                if plan.schedule is not None
                else "give it a default, or map it to a field of the event: nobody is there to fill it in.",
            )


def _refuse_target(plan: Plan, step: StepPlan) -> None:
    where = Place(f"{plan.module}.py", step.line, step.name)
    if step.target == "kubernetes":
        raise FlowError(
            f"the step {step.name!r} has @kubernetes, for which there is no operator",
            where=where,
            mend="write @batch or @ecs, or @resources to run it on the Airflow worker.",
        )
    around = plan.step(step.foreaches[-1]) if step.foreaches else None
    if step.target != "worker" and around is not None and around.transition.kind == "parallel":
        raise FlowError(
            f"{step.name!r} is a num_parallel step with @{step.target}: its nodes run on one worker only",
            where=where,
            mend=f"take @{step.target} away, or make it a foreach whose tasks need not talk to each other.",
        )


def _unfilled(plan: Plan, parameter: ParameterPlan) -> bool:
    """Say whether events start the flow, and none of them brings a value for the parameter."""
    return bool(plan.triggers) and all(parameter.name not in event.parameters for event in plan.triggers)


def _environment(templates: Path | None) -> Environment:
    from jinja2 import (
        ChoiceLoader,
        Environment,
        FileSystemLoader,
        PackageLoader,
        PrefixLoader,
        StrictUndefined,
    )

    own = PackageLoader("airloom.dag_templates", "")
    loaders = [PrefixLoader({"airloom": own}), own]
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(templates), *loaders] if templates else loaders),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - the output is Python; every value passes through `python`
    )
    environment.filters["python"] = python
    environment.filters["docstring"] = docstring
    return environment


def _param(parameter: ParameterPlan, *, alone: bool) -> tuple[str, str]:
    """Name and Python text of Airflow's Param for a parameter.

    Airflow starts no run ``alone`` that has a Param without a value: there null stands for the
    value that an event brings, and the first task refuses a run without it.
    """
    arguments: list[str] = []
    schema = dict(parameter.schema)
    if alone and parameter.required and parameter.default is None and isinstance(schema["type"], str):
        schema["type"] = [schema["type"], "null"]
        arguments.append("None")
    if parameter.type == "file":
        what = (
            f"Text of the file; as deployed ({parameter.default}) when empty" if parameter.digest else "Text"
        )
        schema["format"] = "multiline"
        if parameter.digest is None and parameter.required:
            schema["type"] = "string"
        else:
            arguments.append("None")
        help_ = f"{parameter.help}. {what}." if parameter.help else f"{what}."
    else:
        help_ = parameter.help
        if not (parameter.required and parameter.default is None):
            arguments.append(python(parameter.default, 8))
    taken = ("default", "description", "source")  # arguments of Param that are not part of its schema
    arguments += [
        f"{name}={python(value, 8)}"
        for name, value in sorted(schema.items(), key=lambda item: (item[0] != "type", item[0]))
        if name.isidentifier() and name not in taken
    ]
    if help_:
        arguments.append(f"description={python(help_, 8)}")
    return parameter.name, f"Param({', '.join(arguments)})"


def check_templates(folder: Path, name: str = "dag.py.j2") -> None:
    """Refuse a template folder without the template that is to be rendered.

    Raises
    ------
    DeployError
        When it has none.
    """
    names = sorted(path.name for path in folder.glob("*.j2")) if folder.is_dir() else []
    if name not in names:
        raise DeployError(
            f"the template folder {str(folder)!r} has no {name}",
            where=str(folder),
            mend=f"write one that extends 'airloom/{name}'; {did_you_mean(name, names)}",
        )
