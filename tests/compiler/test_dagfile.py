"""The text of a DAG file: it parses to what the plan says, whatever words a flow uses."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from airloom import settings
from airloom.codec import Json
from airloom.compiler.dagfile import check_templates, render
from airloom.compiler.literals import docstring, python
from airloom.compiler.planner import Compiled, compile_flow
from airloom.deploy import deploy
from airloom.errors import DeployError, FlowError
from airloom.plan import Case, EventTrigger, ParameterPlan, Plan, Schedule, StepPlan, Transition
from airloom.runtime.code import import_flow

CompileText = Callable[[str], Compiled]


@pytest.fixture
def compile_text(tmp_path: Path, clean_imports: None) -> CompileText:
    """Compile the text of a flow's class body."""

    def compile_it(body: str, name: str = "made_flow") -> Compiled:
        folder = tmp_path / "flow"
        folder.mkdir(exist_ok=True)
        file = folder / f"{name}.py"
        file.write_text(body, encoding="utf-8")
        sys.modules.pop(name, None)
        return compile_flow(import_flow(file), settings.load({"datastore_root": str(tmp_path / "store")}))

    return compile_it


def a_plan(doc: str = "", parameters: tuple[ParameterPlan, ...] = (), **changes: Any) -> Plan:
    steps = (
        StepPlan("start", Transition("linear", ("end",))),
        StepPlan("end", Transition("end"), parents=("start",)),
    )
    plan = Plan("MadeFlow", "made_flow", steps, "start", "end", parameters=parameters, doc=doc, code="b3:0")
    return replace(plan, **changes)


def a_parameter(default: Json = None, help_: str = "", name: str = "p") -> ParameterPlan:
    return ParameterPlan(
        name, "p", "json", {"type": ["object", "string", "null"]}, default=default, help=help_
    )


def calls(tree: ast.AST, name: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg is not None}


def literals(text: str) -> tuple[str, dict[str, Any], Any, Any, list[Any]]:
    """Docstring, DAG arguments, first Param's default and description, doc_md of the steps."""
    tree = ast.parse(text)
    (dag,) = calls(tree, "DAG")
    arguments = {
        name: ast.literal_eval(value)
        for name, value in keywords(dag).items()
        if name in ("dag_id", "description")
    }
    params = calls(tree, "Param")
    default = ast.literal_eval(params[0].args[0]) if params and params[0].args else None
    description = keywords(params[0]).get("description") if params else None
    docs = [keywords(call).get("doc_md") for call in calls(tree, "StepOperator")]
    return (
        ast.get_docstring(tree, clean=False) or "",
        arguments,
        default,
        None if description is None else ast.literal_eval(description),
        [None if doc is None else ast.literal_eval(doc) for doc in docs],
    )


# -- nothing breaks out of its literal ------------------------------------------------------

NASTY = [
    '"""',
    '""""',
    "'''",
    '\\"""',
    "\\",
    'ends with "',
    "ends with \\",
    '"""\nimport os; os.system("x")\n"""',
    "{{ x }} {% raw %} {# c #}",
    "a\nb",
    "a\r\nb\rc",
    "tab\there",
    "ünïcode \u2028 \U0001f600",
    "nul \0 bell \a",
    "lone \ud800 surrogate",
    "\\N{BULLET} \\x41 \\u0041",
    "# -*- coding: latin-1 -*-",
    "x" * 300,
]
TEXT = st.one_of(st.sampled_from(NASTY), st.text(), st.text(alphabet="\"'\\\n\r{}%# nNxu\0"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


patient = hypothesis_settings(deadline=None)


@patient
@given(text=TEXT)
def test_any_docstring_stays_in_its_literal(text: str) -> None:
    written = ast.literal_eval(f'"""{docstring(text)}"""')
    assert written.rstrip(" ") == text.rstrip(" ")


@patient
@given(value=JSON)
def test_any_value_stays_in_its_literal(value: Json) -> None:
    for indent in (0, 8, 100):
        text = python(value, indent)
        text.encode("utf-8")
        assert ast.literal_eval(text) == value


@patient
@given(doc=TEXT, help_=TEXT, default=JSON, step_doc=TEXT)
def test_any_text_of_a_flow_stays_in_its_literal(doc: str, help_: str, default: Json, step_doc: str) -> None:
    plan = a_plan(doc.strip(), (a_parameter(default, help_),))
    plan = replace(plan, steps=(replace(plan.steps[0], doc=step_doc), plan.steps[1]))
    text = render(plan)
    compile(text.encode("utf-8"), "made_flow.py", "exec")
    doc_found, arguments, default_found, help_found, docs = literals(text)
    assert doc_found.startswith(doc.strip() or "MadeFlow")
    assert arguments["dag_id"] == "MadeFlow"
    if doc.strip():
        assert arguments["description"] == doc.strip().splitlines()[0]
    assert default_found == default
    assert help_found == (help_ or None)
    assert docs == [step_doc or None, None]


@patient
@given(doc=TEXT, help_=TEXT, default=JSON)
def test_the_statements_of_a_file_do_not_depend_on_its_texts(doc: str, help_: str, default: Json) -> None:
    def shape(text: str) -> list[str]:
        tree = ast.parse(text)
        return [
            type(node).__name__ for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.Call, ast.Name))
        ]

    plain = shape(render(a_plan("plain", (a_parameter({"k": "v"}, "plain"),))))
    assert shape(render(a_plan(f"x{doc}x", (a_parameter(default, f"x{help_}x"),)))) == plain


@patient
@given(name=TEXT)
def test_any_parameter_name_stays_in_its_literal(name: str) -> None:
    tree = ast.parse(render(a_plan(parameters=(a_parameter(1, name=name),))))
    (dag,) = calls(tree, "DAG")
    params = keywords(dag)["params"]
    assert isinstance(params, ast.Dict)
    assert [ast.literal_eval(key) for key in params.keys if key is not None] == [name]


# -- names -----------------------------------------------------------------------------------

TAKEN_NAMES = """
from airloom import FlowSpec, retry, step

class NamesFlow(FlowSpec):
    @retry(times=1)
    @step
    def start(self):
        self.next(
            self.dag_, self.timedelta, self.index_, self.datetime, self.lambda_, self.print, self.task_group
        )

    @step
    def dag_(self):
        self.next(self.join)

    @step
    def timedelta(self):
        self.next(self.join)

    @step
    def index_(self):
        self.next(self.join)

    @step
    def datetime(self):
        self.next(self.join)

    @step
    def lambda_(self):
        self.next(self.join)

    @step
    def print(self):
        self.next(self.join)

    @step
    def task_group(self):
        self.items = [1]
        self.next(self.dag, foreach="items")

    @step
    def dag(self):
        self.next(self.for_each_of_items)

    @step
    def for_each_of_items(self):
        self.next(self.each_of_items)

    @step
    def each_of_items(self, inputs):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def test_steps_keep_their_names_and_hide_nothing(compile_text: CompileText) -> None:
    compiled = compile_text(TAKEN_NAMES)
    tree = ast.parse(render(compiled.plan))
    ids = [ast.literal_eval(keywords(call)["task_id"]) for call in calls(tree, "StepOperator")]
    assert sorted(ids) == sorted(step.name for step in compiled.plan.steps)
    imported = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assigned = [
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert len(assigned) == len(set(assigned))
    assert not imported & set(assigned)
    assert "dag" not in assigned


def test_two_switches_that_choose_among_the_same_steps(compile_text: CompileText) -> None:
    # `[a, b] >> [c, d]` is no Python that Airflow knows.
    compiled = compile_text("""
from airloom import FlowSpec, step

class CrossFlow(FlowSpec):
    @step
    def start(self):
        self.way = 1
        self.next({1: self.a, 2: self.b}, condition="way")

    @step
    def a(self):
        self.next({1: self.c, 2: self.d}, condition="way")

    @step
    def b(self):
        self.next({1: self.c, 2: self.d}, condition="way")

    @step
    def c(self):
        self.next(self.end)

    @step
    def d(self):
        self.next(self.end)

    @step
    def end(self):
        pass
""")
    tree = ast.parse(render(compiled.plan))
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.RShift):
            left = node.left.right if isinstance(node.left, ast.BinOp) else node.left
            assert not (isinstance(left, ast.List) and isinstance(node.right, ast.List))


# -- what is refused -------------------------------------------------------------------------


def test_schedule_and_triggers_stand_side_by_side() -> None:
    triggers = (EventTrigger("orders"), EventTrigger("Other", finished=True))
    text = render(a_plan(schedule=Schedule("@daily", "Europe/Vienna"), triggers=triggers))
    (both,) = calls(ast.parse(text), "AssetOrTimeSchedule")
    given = {name: ast.unparse(value) for name, value in keywords(both).items()}
    assert given == {
        "timetable": "CronTriggerTimetable('@daily', timezone='Europe/Vienna')",
        "assets": "[Asset('orders'), Asset('x-airloom://flow/Other')]",
    }
    assert "from airloom.operators.timetables import AssetOrTimeSchedule, CronTriggerTimetable\n" in text
    assert "AssetOrTimeSchedule" not in render(a_plan(triggers=triggers))
    with pytest.raises(FlowError, match="runs once and by triggers"):
        render(a_plan(schedule=Schedule("@once"), triggers=triggers))


def test_schedule_with_a_required_parameter_is_refused() -> None:
    needed = replace(a_parameter(), required=True)
    with pytest.raises(FlowError, match="'p' has no default"):
        render(a_plan(parameters=(needed,), schedule=Schedule("@daily")))
    render(a_plan(parameters=(replace(needed, default="x"),), schedule=Schedule("@daily")))


@pytest.mark.parametrize("default", ["float('inf')", "float('nan')", "-float('inf')"])
def test_a_number_that_json_cannot_hold_is_refused(compile_text: CompileText, default: str) -> None:
    with pytest.raises(FlowError, match="not a number"):
        compile_text(ONE_STEP.format(f"x = Parameter('x', default={default})"))


def test_json_default_is_what_json_makes_of_it(compile_text: CompileText) -> None:
    plan = compile_text(
        ONE_STEP.format("x = Parameter('x', type=JSONType, default={1: (2, 3), 'b': None})")
    ).plan
    assert plan.parameters[0].default == {"1": [2, 3], "b": None}
    assert Plan.from_bytes(plan.to_bytes()) == plan


ONE_STEP = """
from airloom import FlowSpec, JSONType, Parameter, step

class MadeFlow(FlowSpec):
    {}

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass
"""


def deployed(compiled: Compiled, folder: Path, **options: Any) -> Path:
    return deploy(compiled, settings.load({"datastore_root": str(folder / "store")}), folder, **options).file


def test_missing_folder_is_refused(compile_text: CompileText, tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="there is no folder"):
        deploy(compile_text(ONE_STEP.format("pass")), settings.load(), tmp_path / "no" / "folder")


@pytest.mark.parametrize(
    "content", ["# somebody's own file\n", "", "Airflow DAG of the flow Other, compiled by Airloom"]
)
def test_file_of_somebody_else_is_left_alone(compile_text: CompileText, tmp_path: Path, content: str) -> None:
    compiled = compile_text(ONE_STEP.format("pass"))
    (tmp_path / "MadeFlow.py").write_text(content)
    with pytest.raises(DeployError, match=r"MadeFlow\.py"):
        deployed(compiled, tmp_path)
    assert (tmp_path / "MadeFlow.py").read_text() == content
    assert not (tmp_path / "store").exists()


def test_file_that_is_no_text_is_left_alone(compile_text: CompileText, tmp_path: Path) -> None:
    (tmp_path / "MadeFlow.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DeployError, match="cannot be read"):
        deployed(compile_text(ONE_STEP.format("pass")), tmp_path)


def test_nothing_but_the_dag_file_is_left_in_the_folder(compile_text: CompileText, tmp_path: Path) -> None:
    file = deployed(compile_text(ONE_STEP.format("pass")), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"flow", "store", file.name}
    assert file.stat().st_mode & 0o777 == 0o644


# -- templates -------------------------------------------------------------------------------

TEAM = """\
{% extends "airloom/dag.py.j2" %}
{% block imports %}
{{ super() -}}
from team_callbacks import notify
{% endblock %}
{% block default_args %}
        "owner": "data-team",
        "on_failure_callback": notify,
{% endblock %}
{% block tags %}{{ super() }}, "team"{% endblock %}
{% block dag_arguments %}
    max_active_runs=1,
{% endblock %}
"""


def test_templates_of_a_team_extend_ours(compile_text: CompileText, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "dag.py.j2").write_text(TEAM)
    text = deployed(compile_text(ONE_STEP.format("pass")), tmp_path, templates=templates).read_text()
    tree = ast.parse(text)
    (dag,) = calls(tree, "DAG")
    assert ast.literal_eval(keywords(dag)["tags"]) == ["airloom", "team"]
    assert ast.literal_eval(keywords(dag)["max_active_runs"]) == 1
    assert '"owner": "data-team",' in text
    assert "from team_callbacks import notify\n" in text


def test_templates_without_a_dag_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dag.j2").touch()
    with pytest.raises(DeployError, match=r"has no dag\.py\.j2"):
        check_templates(tmp_path)


@pytest.mark.parametrize("text", ["{% if %}", "{{ no_such_name }}", "{% include 'missing' %}"])
def test_a_template_that_does_not_render_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "dag.py.j2").write_text(text)
    with pytest.raises(DeployError, match="cannot be rendered"):
        render(a_plan(), templates=tmp_path)


# -- the same bytes --------------------------------------------------------------------------


def test_the_same_plan_gives_the_same_bytes(good_flow: Path, clean_imports: None) -> None:
    plan = compile_flow(import_flow(good_flow), settings.load()).plan
    text = render(plan)
    assert render(Plan.from_bytes(plan.to_bytes())) == text
    assert all(len(line) == len(line.rstrip()) for line in text.splitlines())
    compile(text, good_flow.name, "exec")


def test_dag_files_import_airflow_airloom_and_the_standard_library_only(
    good_flow: Path, clean_imports: None
) -> None:
    tree = ast.parse(render(compile_flow(import_flow(good_flow), settings.load()).plan))
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Import)
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            assert (
                module == "airflow.sdk"
                or module.startswith("airloom.operators")
                or module in sys.stdlib_module_names
            ), module
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("open", "eval", "exec", "__import__")


PROGRAM = """
import subprocess
import sys
from pathlib import Path
from airloom import settings
from airloom.compiler.dagfile import render
from airloom.compiler.planner import compile_flow
from airloom.runtime.code import import_flow
for file in sorted(Path(sys.argv[1]).glob("*.py")):
    if "__main__" in file.read_text():
        print(render(compile_flow(import_flow(file), settings.load({"user": "me"})).plan))
"""


def test_every_process_writes_the_same_bytes() -> None:
    def output(seed: str) -> bytes:
        folder = Path(__file__).parents[1] / "flows" / "good"
        paths = ":".join(filter(None, sys.path))
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": paths, "HOME": "/"}
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, str(folder)], env=environment, capture_output=True, check=True
        ).stdout

    first = output("0")
    assert len(first) > 10_000
    assert output("77") == first


def test_switch_cases_may_be_any_word() -> None:
    cases = (Case('"; import os', "end"), Case(True, "end"))
    plan = a_plan()
    start = replace(plan.steps[0], transition=Transition("switch", ("end",), "x", cases))
    ast.parse(render(replace(plan, steps=(start, plan.steps[1]))))
