"""Modules of task groups: the function, its arguments, and the same bytes for the same plan."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom import settings
from airloom.compiler.dagfile import check_templates, group_function, render_group
from airloom.compiler.planner import Compiled, compile_flow
from airloom.compiler.seals import read_seal
from airloom.deploy import deploy, deploy_group
from airloom.errors import DeployError
from airloom.plan import Plan
from airloom.runtime.code import import_flow

FLOW = """
from airloom import FlowSpec, JSONType, Parameter, step

class FitAll2Models(FlowSpec):
    '''Fit.'''
    rows = Parameter("rows", type=int, required=True)
    word = Parameter("a-word", default="{{ ds }}", help="said \\"twice\\"")
    group = Parameter("group", default="a")
    rate = Parameter("rate", default=0.5)
    tree = Parameter("tree", type=JSONType, default='{"a": 1}')

    @step
    def start(self):
        self.next(self.default_args)

    @step
    def default_args(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    FitAll2Models()
"""


@pytest.fixture
def compiled(tmp_path: Path, clean_imports: None) -> Compiled:
    file = tmp_path / "models_flow.py"
    file.write_text(FLOW)
    return compile_flow(import_flow(file), settings.load({"user": "golden"}))


@pytest.fixture
def function(compiled: Compiled) -> ast.FunctionDef:
    (found,) = (
        node for node in ast.parse(render_group(compiled.plan)).body if isinstance(node, ast.FunctionDef)
    )
    return found


def test_the_function_takes_the_parameters_by_name(function: ast.FunctionDef) -> None:
    assert function.name == "fit_all2_models"
    defaults = {
        argument.arg: None if default is None else ast.literal_eval(default)
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }
    assert defaults == {
        "group_id": "fit_all2_models",
        "rows": None,
        "word": None,
        "group_": "a",
        "rate": 0.5,
        "tree": None,
        "default_args": None,
    }
    required = [
        argument.arg
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        if default is None
    ]
    assert required == ["rows"]
    assert 'word: said "twice"' in (ast.get_docstring(function) or "")


def test_parameters_reach_the_first_step_under_their_own_names(function: ast.FunctionDef) -> None:
    text = ast.unparse(function)
    assert "'a-word': word" in text
    assert "StepOperator(task_id='start', flow_parameters=parameters)" in text
    assert text.count("flow_parameters") == 1
    assert "default_args_ = StepOperator(task_id='default_args')" in text


def test_the_same_plan_gives_the_same_module(good_flow: Path, clean_imports: None) -> None:
    plan = compile_flow(import_flow(good_flow), settings.load()).plan
    text = render_group(plan)
    assert render_group(Plan.from_bytes(plan.to_bytes())) == text
    assert all(len(line) == len(line.rstrip()) for line in text.splitlines())
    allowed = ("airflow.sdk", "airloom.operators", "datetime")
    for node in ast.walk(ast.parse(text)):
        assert not isinstance(node, ast.Import)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").startswith(allowed)


@pytest.mark.parametrize("name", ["hello", "assets_of_steps", "nested_foreach", "switch_in_foreach"])
def test_module_is_the_golden_one(
    name: str, alone: Callable[..., Path], clean_imports: None, golden: Callable[[str, str], None]
) -> None:
    plan = compile_flow(import_flow(alone(f"{name}.py")), settings.load({"user": "golden"})).plan
    golden(f"groups/{name}.py.txt", render_group(plan))


def test_a_group_and_a_dag_of_one_flow_lie_side_by_side(compiled: Compiled, tmp_path: Path) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    found = settings.load({"datastore_root": str(tmp_path / "store")})
    first = deploy_group(compiled, found, folder)
    assert (first.file.name, first.what) == ("fit_all2_models_group.py", "wrote")
    assert deploy(compiled, found, folder).what == "wrote"
    before = first.file.read_bytes()
    assert deploy_group(compiled, found, folder).what == "left unchanged"
    assert first.file.read_bytes() == before
    seal = read_seal(before.decode())
    assert seal is not None
    assert (seal.edited, seal.is_of(compiled.plan)) == (False, True)


def test_an_edited_module_is_not_replaced(compiled: Compiled, tmp_path: Path) -> None:
    found = settings.load({"datastore_root": str(tmp_path / "store")})
    file = deploy_group(compiled, found, tmp_path).file
    file.write_text(file.read_text().replace("default_args", "default_arguments"))
    with pytest.raises(DeployError, match="edited by hand"):
        deploy_group(compiled, found, tmp_path)
    assert deploy_group(compiled, found, tmp_path, force=True).what == "changed"


def test_templates_without_a_task_group_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dag.py.j2").write_text("")
    with pytest.raises(DeployError, match=r"no task_group\.py\.j2"):
        check_templates(tmp_path, "task_group.py.j2")


@pytest.mark.parametrize(
    ("flow", "name"),
    [("TrainFlow", "train_flow"), ("Train", "train"), ("HTTPLog", "http_log"), ("Class", "class_")],
)
def test_the_function_is_called_as_the_flow(compiled: Compiled, flow: str, name: str) -> None:
    from dataclasses import replace

    assert group_function(replace(compiled.plan, flow=flow)) == name
