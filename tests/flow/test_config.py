"""Configs: where their values come from, what may use them, and what is wrong with them."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airloom import Config, ConfigValue, FlowSpec, Parameter, config_expr, environment, resources, retry, step
from airloom.compiler.graph import build
from airloom.errors import ConfigError, FlowError, Place
from airloom.flow.config_sources import ConfigSource, resolve_configs
from airloom.flow.configs import ParameterContext, evaluate
from airloom.flow.declarations import StepDeclaration, step_declaration, steps_of
from airloom.flow.finishing import finish
from airloom.flow.flow_decorators import schedule
from airloom.flow.parameters import parameters_of

VALUE = {"memory": 100, "model": {"layers": [3, {"size": 4}], "items": "kept"}, "key": "one"}


def flow_with(**attributes: Any) -> type[FlowSpec]:
    @step
    def start(self: Any) -> None:
        pass

    return type("F", (FlowSpec,), {"start": start, "__module__": __name__} | attributes)


def resolved(config: Config, folder: Path = Path(), given: ConfigSource | None = None) -> Any:
    said = config.airloom_config
    found = resolve_configs(flow_with(config=config), folder, "ada", {said.name: given} if given else None)
    return found[said.name]


def declared(decorate: Callable[[Any], Any], **configs: Any) -> StepDeclaration:
    """What a decorator says when the config ``config`` has its value."""

    @decorate
    @step
    def start(self: Any) -> None:
        pass

    flow = flow_with(start=start, config=Config("config"), **configs)
    found = step_declaration(steps_of(finish(flow, {"config": VALUE}))["start"])  # type: ignore[dict-item]
    assert found is not None
    return found


# -- values ------------------------------------------------------------------------------


def test_a_value_is_read_by_attributes_and_items() -> None:
    value = ConfigValue(VALUE)
    assert value.model.layers[1].size == value["model"]["layers"][1]["size"] == 4
    assert (len(value), "key" in value, list(value)) == (3, True, ["memory", "model", "key"])
    assert value == VALUE
    assert isinstance(value, dict)
    assert json.loads(json.dumps(value)) == VALUE
    assert value.model["items"] == "kept"
    assert "memory" in dir(value)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: setattr(value, "memory", 1),
        lambda value: delattr(value, "memory"),
        lambda value: value.__setitem__("memory", 1),
        lambda value: value.__delitem__("memory"),
        lambda value: value.update(memory=1),
        lambda value: value.pop("memory"),
        lambda value: value.popitem(),
        lambda value: value.clear(),
        lambda value: value.setdefault("new", 1),
        lambda value: value.__ior__({"new": 1}),
        lambda value: value.model.update(layers=[]),
    ],
)
def test_a_value_cannot_be_changed(change: Callable[[Any], Any]) -> None:
    value = ConfigValue(VALUE)
    with pytest.raises(TypeError, match="a config cannot be changed"):
        change(value)
    assert value == VALUE


def test_a_plain_copy_can_be_changed() -> None:
    value = ConfigValue(VALUE)
    copy = value.to_dict()
    copy["model"]["layers"].append(5)
    assert type(copy["model"]["layers"][1]) is dict
    assert value.model.layers == [3, {"size": 4}]
    assert value.copy() is value


def test_a_value_is_pickled_whole() -> None:
    value = pickle.loads(pickle.dumps(ConfigValue(VALUE)))
    assert type(value) is ConfigValue
    assert type(value.model.layers[1]) is ConfigValue
    assert value == VALUE


def test_a_missing_key_says_what_was_meant() -> None:
    value = ConfigValue(VALUE)
    with pytest.raises(AttributeError, match="no key 'memroy': did you mean 'memory'"):
        _ = value.memroy
    assert not hasattr(value, "__array__")
    assert getattr(value, "nothing", 3) == 3


# -- where values come from --------------------------------------------------------------


def test_a_default_file_is_looked_for_beside_the_flow_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "c.json").write_text('{"from": "here"}')
    monkeypatch.chdir(tmp_path)
    assert resolved(Config("c", default="c.json"), tmp_path / "flow") == {"from": "here"}
    (tmp_path / "flow" / "c.json").write_text('{"from": "flow"}')
    assert resolved(Config("c", default="c.json"), tmp_path / "flow") == {"from": "flow"}
    given = ConfigSource("--config c", path="c.json")
    assert resolved(Config("c"), tmp_path / "flow", given) == {"from": "here"}


def test_a_value_that_is_given_wins_over_defaults() -> None:
    given = ConfigSource("--config-value c", text='{"a": 2}')
    assert resolved(Config("c", default_value={"a": 1}), given=given) == {"a": 2}


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"default_value": {"a": 1}}, {"a": 1}),
        ({"default_value": '{"a": 1}'}, {"a": 1}),
        ({"default_value": lambda context: {context.flow_name: context.user_name}}, {"F": "ada"}),
        ({"default_value": "a: 1", "parser": "yaml"}, {"a": 1}),
        ({"default_value": "a: 1", "parser": "airloom.flow.parsers.yaml_parser"}, {"a": 1}),
        ({"default_value": "xyz", "parser": lambda text: {"text": text}}, {"text": "xyz"}),
        ({"default_value": {"a": 1}, "parser": lambda text: {"text": text}}, {"text": '{"a": 1}'}),
        ({"default_value": "xyz", "plain": True}, "xyz"),
        ({"default_value": "[1, 2]", "parser": json.loads, "plain": True}, [1, 2]),
        ({"default_value": {"b": (1, 2), "a": None}}, {"a": None, "b": [1, 2]}),
        ({}, None),
    ],
)  # fmt: skip
def test_a_default_becomes_json(options: dict[str, Any], value: Any) -> None:
    assert resolved(Config("c", **options)) == value


def test_keys_stand_in_the_order_of_the_file() -> None:
    assert list(resolved(Config("c", default_value='{"b": 1, "a": {"z": 1, "c": 2}}'))) == ["b", "a"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the library of Python 3.10 reads no TOML")
def test_toml_is_read() -> None:
    assert resolved(Config("c", default_value="[a]\nb = 1", parser="toml")) == {"a": {"b": 1}}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"default": "nowhere.json"}, "the file 'nowhere.json' does not exist"),
    ({"default_value": "{a: 1"}, "is not JSON"),
    ({"default_value": "[1]"}, "is list, not a mapping"),
    ({"default_value": "3", "parser": json.loads}, "is int, not a mapping"),
    ({"default_value": "x", "parser": "no.such.parser"}, "cannot be imported"),
    ({"default_value": "x", "parser": "undotted"}, "the parser 'undotted' is no function"),
    ({"default_value": "x", "parser": "airloom.version.__version__"}, "is no function"),
    ({"default_value": "x", "parser": lambda text: 1 / 0}, "cannot be parsed: division by zero"),
    ({"default_value": "x", "parser": lambda text: {"a": {1, 2}}}, "holds what is not JSON"),
    ({"default_value": lambda context: 1 / 0}, "raised ZeroDivisionError"),
    ({"required": True}, "is required and has no value"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_config_is_told_with_its_line(options: dict[str, Any], message: str) -> None:
    config = Config("c", **options)
    with pytest.raises(ConfigError, match=message) as caught:
        resolved(config)
    assert isinstance(caught.value.where, Place)
    assert caught.value.where.file == __file__


def test_a_wrong_value_from_outside_names_its_option() -> None:
    with pytest.raises(ConfigError, match="not JSON") as caught:
        resolved(Config("c"), given=ConfigSource("--config-value c", text="{"))
    assert caught.value.where == "--config-value c"


def test_a_config_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no config 'confg'") as caught:
        resolve_configs(
            flow_with(c=Config("config")), Path(), "ada", {"confg": ConfigSource("--config confg")}
        )
    assert caught.value.mend == "did you mean 'config'?"


def test_a_default_and_a_default_value_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="has a default and a default_value"):
        Config("c", default="c.json", default_value={})


# -- expressions -------------------------------------------------------------------------

config = Config("config")
FACTOR = 2


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (config_expr("config.memory"), 100),
        (config_expr("config").model.layers[1].size, 4),
        (config_expr("config['model']['layers'][0]"), 3),
        (config_expr("config.memory * FACTOR"), 200),
        (config_expr("config.key.upper()"), "ONE"),
        (config_expr("FACTOR"), 2),
        (config.memory, 100),
        (config["model"]["layers"], [3, {"size": 4}]),
        (config.model, VALUE["model"]),
        (config, VALUE),
        ([config.memory, {"a": (config.key, 1)}], [100, {"a": ("one", 1)}]),
        ({config.key: 1}, {"one": 1}),
        ({**config.model}, VALUE["model"]),
    ],
)
def test_an_expression_is_filled_in(expression: Any, value: Any) -> None:
    assert evaluate(expression, {"config": ConfigValue(VALUE)}) == value


@pytest.mark.parametrize(
    ("expression", "message", "mend"),
    [
        (config.memroy, "config.memroy has no value: there is no key 'memroy'", "did you mean 'memory'?"),
        (config_expr("confg.memory"), "there is no config 'confg'", "did you mean 'config'?"),
        (config_expr("config.memory +"), "it is not Python", "write e.g. 'cfg.memory'."),
        (config_expr("config.memory / 0"), "ZeroDivisionError: division by zero", "mend the expression."),
        (config.model.layers[7], "list has no 7", "look at what the config holds."),
        (config_expr("absent.x"), "the config has no value", "look at what the config holds."),
    ],
)
def test_an_expression_without_value_is_told(expression: Any, message: str, mend: str) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluate(expression, {"config": ConfigValue(VALUE), "absent": None})
    assert message in caught.value.what
    assert caught.value.mend == mend


def test_an_expression_cannot_be_used_before_it_has_a_value() -> None:
    with pytest.raises(TypeError, match=r"config.memory has no value yet"):
        list(config.memory)


# -- who uses them -----------------------------------------------------------------------


def test_decorators_take_values_of_configs() -> None:
    assert declared(resources(memory=config.memory)).resources.memory_mib == 100
    assert declared(resources(memory=config_expr("config.memory"))).resources.memory_mib == 100
    assert declared(environment(vars={"A": config.key})).variables == {"A": "one"}
    assert declared(retry(**config_expr("dict(times=config.model.layers[0])"))).retry.times == 3


def test_a_decorators_missing_key_is_told_with_its_line() -> None:
    line = sys._getframe().f_lineno + 1
    decorate = resources(memory=config.memroy)
    with pytest.raises(ConfigError, match=r"@resources: .* there is no key 'memroy'") as caught:
        declared(decorate)
    assert caught.value.where == Place(__file__, line)


def test_a_decorators_wrong_value_is_told_with_its_line() -> None:
    line = sys._getframe().f_lineno + 1
    decorate = resources(memory=config.key)
    with pytest.raises(FlowError, match="@resources: memory='one' is refused") as caught:
        declared(decorate)
    assert caught.value.where == Place(__file__, line)


def test_an_expression_without_any_config_is_refused() -> None:
    @resources(memory=config_expr("config.memory"))
    @step
    def start(self: Any) -> None:
        pass

    with pytest.raises(ConfigError, match="it names a config of another class"):
        finish(flow_with(start=start))


def test_a_flow_decorator_takes_values_of_configs() -> None:
    from airloom.flow.declarations import flow_declaration

    flow = schedule(cron=config_expr("config.cron"))(flow_with(config=Config("config")))
    said = flow_declaration(finish(flow, {"config": {"cron": "0 6 * * *"}}))
    assert said.schedule is not None
    assert said.schedule.cron == "0 6 * * *"


def test_parameters_take_values_of_configs() -> None:
    flow = flow_with(
        config=Config("config"), p=Parameter("p", default=config.memory, help=config_expr("config.key"))
    )
    parameter = parameters_of(finish(flow, {"config": VALUE}))["p"]  # type: ignore[dict-item]
    assert (parameter.kind, parameter.default, parameter.help, parameter.attribute) == (
        "int",
        100,
        "one",
        "p",
    )
    assert parameter.place.file == __file__
    assert parameter.to_plan(ParameterContext("F", "p", "ada"), Path()).default == 100


def test_the_flow_itself_stays_as_it_was() -> None:
    @resources(memory=config.memory)
    @step
    def start(self: Any) -> None:
        pass

    flow = flow_with(start=start, config=Config("config"))
    for memory in (100, 200):
        found = step_declaration(vars(finish(flow, {"config": {"memory": memory}}))["start"])
        assert found is not None
        assert found.resources.memory_mib == memory
    assert finish(flow, {"config": {"memory": 100}}) is finish(flow, {"config": {"memory": 100}})
    before = step_declaration(vars(flow)["start"])
    assert before is not None
    assert before.resources.memory_mib is None


def test_a_flow_without_configs_is_finished_as_it_is() -> None:
    flow = flow_with(p=Parameter("p", default=1))
    assert finish(flow) is flow


class Chooses(FlowSpec):
    """A flow whose cases are named by a config."""

    config = Config("config")

    @step
    def start(self) -> None:
        self.x = "one"
        self.next({self.config.key: self.a, self.config.more["deep"]: self.b}, condition="x")

    @step
    def a(self) -> None:
        self.next(self.end)

    @step
    def b(self) -> None:
        self.next(self.end)

    @step
    def end(self) -> None:
        pass


def test_the_cases_of_a_switch_are_named_by_configs() -> None:
    graph = build(finish(Chooses, {"config": {"key": "one", "more": {"deep": 2}}}))
    transition = graph.nodes["start"].transition
    assert transition is not None
    assert [(case.value, case.target) for case in transition.cases] == [("one", "a"), (2, "b")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kye": "one", "more": {"deep": 2}}, "there is no key 'key'"),
        ({"key": [1], "more": {"deep": 2}}, "which is list in the config"),
        ({"key": 2, "more": {"deep": 2}}, "the switch has the case 2 twice"),
        (None, "the config has no value"),
    ],
)
def test_a_case_without_a_value_is_refused(value: Any, message: str) -> None:
    problem = build(finish(Chooses, {"config": value})).nodes["start"].problem
    assert problem is not None
    assert message in problem.what
