"""Labels of mapped tasks: the values of their foreaches, on one line, and never anything unpickled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytest.importorskip("airflow", reason="Airflow is not installed")
pytestmark = pytest.mark.airflow

from airloom import settings  # noqa: E402 - after the skip
from airloom.client import Run  # noqa: E402
from airloom.operators.labels import LONGEST, label_of, name_task, shown  # noqa: E402
from airloom.runtime.lineage import Lineage  # noqa: E402
from airloom.store.datastore import Datastore  # noqa: E402

FLOW = """
from airloom import FlowSpec, Parameter, step

class Labelled(FlowSpec):
    regions = Parameter("regions", default="north,south", separator=",")

    @step
    def start(self):
        self.next(self.spread, foreach="regions")

    @step
    def spread(self):
        self.shops = {"a": 1, "b": 2} if self.input == "north" else {"<b>": 1}
        self.next(self.shop, foreach="shops")

    @step
    def shop(self):
        self.next(self.shops_join)

    @step
    def shops_join(self, inputs):
        self.odd = [object, print]
        self.next(self.thing, foreach="odd")

    @step
    def thing(self):
        self.next(self.things_join)

    @step
    def things_join(self, inputs):
        self.next(self.regions_join)

    @step
    def regions_join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    Labelled()
"""

Label = Callable[..., str]


@pytest.fixture(scope="module")
def label(tmp_path_factory: pytest.TempPathFactory) -> Label:
    from airloom import Runner

    folder = tmp_path_factory.mktemp("labels")
    (folder / "labelled.py").write_text(FLOW)
    with Runner(
        str(folder / "labelled.py"), datastore_root=str(folder / "store"), show_output=False
    ).run() as ran:
        run = Run(ran.run.pathspec, datastore=folder / "store", _namespace_check=False)
    assert run.successful
    datastore = Datastore.open(settings.load({"datastore_root": str(folder / "store")}))
    plan = datastore.plan("Labelled", datastore.run("Labelled", run.id).plan)
    lineage = Lineage(datastore, plan, run.id)

    def of(step: str, *places: tuple[int, ...]) -> str:
        return label_of(plan, plan.step(step), places, lineage)

    return of


def test_a_task_is_called_by_the_values_of_all_levels(label: Label) -> None:
    assert label("spread", (1,)) == "south"
    assert [label("shop", place) for place in ((0, 0), (0, 1), (1, 0))] == [
        "north / a",
        "north / b",
        "south / <b>",
    ]
    assert label("shops_join", (0,)) == "north"


def test_a_range_is_called_by_its_ends(label: Label) -> None:
    assert label("spread", (0,), (1,)) == "north ... south"


def test_values_that_only_their_own_code_can_read_are_counted(label: Label) -> None:
    assert label("thing", (1, 0)) == "1.0"


def test_a_template_of_the_users_own_stays() -> None:
    class Ti:
        map_index = 3

    context = {"ti": Ti(), "map_index_template": "{{ mine }}"}
    name_task(context, None, None, [(0,)], None)  # type: ignore[arg-type]
    assert context["map_index_template"] == "{{ mine }}"


@pytest.mark.parametrize(
    "value", ["{{ 1 }}", "x" * 500, "a\x00b\r\nc\u202e", ["x" * 300], {"k": None}, 1.5, True, None]
)
def test_labels_are_short_and_on_one_line(value: object) -> None:
    text = shown(value)
    assert len(text) <= LONGEST
    assert text.isprintable()
