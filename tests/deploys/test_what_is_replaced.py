"""Deploys: what is replaced and what is not, and the history of a store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from airloom.compiler.dagfile import render
from airloom.compiler.planner import Compiled, compile_flow
from airloom.compiler.seals import is_sealed, read_seal
from airloom.deploy import deploy, deploy_to_store
from airloom.deploys.folders import dag_files
from airloom.errors import AlreadyExists, CorruptBlob, DeployError, NotFound
from airloom.plan import Project
from airloom.runtime.code import import_flow
from airloom.settings import Settings
from airloom.store.deployments import DeployedFile, Deployments, Version
from airloom.store.gc import Collection
from airloom.store.objects import MemoryObjects
from airloom.store.retention import Rules
from support.shop import other_word

# -- the end of a DAG file -------------------------------------------------------------------


def test_a_dag_file_says_whose_it_is(compiled: Compiled) -> None:
    seal = read_seal(render(compiled.plan))
    assert seal is not None
    assert seal.is_of(compiled.plan)
    assert (seal.plan, seal.edited) == (compiled.plan.digest, False)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("tags=[", "catchup=False,\n    tags=["),
        lambda text: text.replace("flow=ShopFlow", "flow=OtherFlow"),
        lambda text: text + "# more\n",
        lambda text: text.rpartition("# airloom: text=")[0],
        lambda text: text.partition("# airloom: dag=")[0],
    ],
    ids=["an argument", "its own line", "a line behind", "without the digest", "without both lines"],
)
def test_an_edited_file_is_known(compiled: Compiled, edit: Callable[[str], str]) -> None:
    seal = read_seal(edit(render(compiled.plan)))
    assert seal is not None
    assert seal.edited


def test_other_line_ends_are_no_edit(compiled: Compiled, tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_bytes(render(compiled.plan).replace("\n", "\r\n").encode() + b"\r\n")
    seal = read_seal(file.read_text())
    assert seal is not None
    assert not seal.edited


def test_deployed_files_are_no_code_of_a_flow(compiled: Compiled, own: Settings, flow_file: Path) -> None:
    deployed = deploy(compiled, own, flow_file.parent).file
    assert is_sealed(deployed)
    again = compile_flow(import_flow(flow_file), own)
    assert again.plan.digest == compiled.plan.digest
    assert deploy(again, own, flow_file.parent).what == "left unchanged"


# -- a DAG folder ----------------------------------------------------------------------------


def test_an_edited_file_is_kept_unless_forced(compiled: Compiled, own: Settings, dags: Path) -> None:
    file = deploy(compiled, own, dags).file
    edited = file.read_text().replace("schedule=None", "schedule='@daily'")
    file.write_text(edited)
    with pytest.raises(DeployError, match="edited by hand"):
        deploy(compiled, own, dags)
    assert file.read_text() == edited
    assert deploy(compiled, own, dags, force=True).what == "changed"
    assert file.read_text() == render(compiled.plan)


@pytest.mark.parametrize("change", [{"flow": "OtherFlow"}, {"module": "other_flow"}], ids=["class", "file"])
def test_the_dag_of_another_flow_is_kept_unless_forced(
    compiled: Compiled, own: Settings, dags: Path, change: dict[str, str]
) -> None:
    file = deploy(compiled, own, dags).file
    before = file.read_text()
    plan = replace(compiled.plan, **change)
    if "flow" in change:
        file = file.rename(dags / "OtherFlow.py")
    with pytest.raises(DeployError, match=r"is that of the flow ShopFlow of shop_flow\.py"):
        deploy(replace(compiled, plan=plan), own, dags)
    assert file.read_text() == before
    assert deploy(replace(compiled, plan=plan), own, dags, force=True).what == "changed"


TAKEN = {
    "keyword": 'from airflow.sdk import DAG\nwith DAG(dag_id="ShopFlow"):\n    pass\n',
    "argument": 'from airflow import sdk\nsdk.DAG("ShopFlow")\n',
    "function": "from airflow.sdk import dag\n@dag\ndef ShopFlow():\n    pass\n",
    "called": "from airflow.sdk import dag\n@dag(schedule=None)\ndef ShopFlow():\n    pass\n",
    "named": 'from airflow.sdk import dag\n@dag(dag_id="ShopFlow")\ndef other():\n    pass\n',
}


@pytest.mark.parametrize("text", TAKEN.values(), ids=TAKEN)
def test_a_dag_id_of_somebodys_own_file_is_taken(
    compiled: Compiled, own: Settings, dags: Path, text: str
) -> None:
    (dags / "team").mkdir()
    (dags / "team" / "own.py").write_text(text)
    with pytest.raises(DeployError, match="another file of the folder has a DAG 'ShopFlow'") as caught:
        deploy(compiled, own, dags)
    assert "own.py" in str(caught.value.where)
    assert not (dags / "ShopFlow.py").exists()
    assert not Path(own.datastore_root).exists()


@pytest.mark.parametrize(
    "text",
    ["# ShopFlow\n", "DAG(", '@dag("x")\ndef ShopFlow(): pass\n', 'print("ShopFlow")\n', "ShopFlow = 1\0"],
)
def test_a_file_that_only_names_the_dag_takes_nothing(
    compiled: Compiled, own: Settings, dags: Path, text: str
) -> None:
    (dags / "own.py").write_text(text)
    assert deploy(compiled, own, dags).what == "wrote"


def test_a_copy_below_another_folder_is_a_second_file_of_the_dag(
    compiled: Compiled, own: Settings, dags: Path
) -> None:
    (dags / "old").mkdir()
    deploy(compiled, own, dags / "old")
    with pytest.raises(DeployError, match="another file of the folder"):
        deploy(compiled, own, dags)


def test_links_of_a_folder_are_followed_once(compiled: Compiled, own: Settings, dags: Path) -> None:
    (dags / "round").symlink_to(dags)
    file = deploy(compiled, own, dags).file
    assert [found.path for found in dag_files(dags)] == [file]
    assert deploy(compiled, own, dags).what == "left unchanged"


def test_a_second_folder_is_told(compiled: Compiled, own: Settings, dags: Path, tmp_path: Path) -> None:
    second = tmp_path / "second"
    second.mkdir()
    file = deploy(compiled, own, dags).file
    assert deploy(compiled, own, second).warnings == (f"ShopFlow is also deployed into {dags}",)
    file.unlink()
    assert deploy(compiled, own, second).warnings == ()
    deploy_to_store(compiled, own)
    assert "is also deployed to the datastore" in "".join(deploy(compiled, own, second).warnings)
    assert str(second) in "".join(deploy_to_store(compiled, own).warnings)


def test_templates_must_give_python(compiled: Compiled, own: Settings, dags: Path, tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "dag.py.j2").write_text(
        '{% extends "airloom/dag.py.j2" %}\n{% block default_args %}\n        "owner" = 1,\n{% endblock %}\n'
    )
    puts: list[Callable[[], object]] = [
        lambda: deploy(compiled, own, dags, templates=templates),
        lambda: deploy_to_store(compiled, own, templates=templates),
    ]
    for put in puts:
        with pytest.raises(DeployError, match="not Python") as caught:
            put()
        assert '"owner" = 1' in caught.value.what
    assert list(dags.iterdir()) == []
    assert not Path(own.datastore_root).exists()


@pytest.mark.parametrize("text", ["{{ 1 / 0 }}", "{{ plan.steps[99].name }}", "{{ plan.doc + 1 }}"])
def test_what_a_template_raises_is_told(compiled: Compiled, tmp_path: Path, text: str) -> None:
    (tmp_path / "dag.py.j2").write_text(text)
    with pytest.raises(DeployError, match="cannot be rendered"):
        render(compiled.plan, templates=tmp_path)


# -- the store -------------------------------------------------------------------------------


def test_a_deploy_moves_one_pointer(compiled: Compiled, own: Settings, store: Deployments) -> None:
    assert store.current() == Version()
    assert deploy_to_store(compiled, own).what == "wrote"
    first = store.newest()
    assert first is not None
    assert (first.number, first.action, first.user, first.file.plan) == (
        1,
        "deploy",
        "ann",
        compiled.plan.digest,
    )
    assert store.text(first.file).decode() == render(compiled.plan)
    assert deploy_to_store(compiled, own).what == "left unchanged"
    assert store.newest() == first
    second = other_word(compiled, "more")
    assert deploy_to_store(second, own).number == 2
    assert [record.number for record in store.history()] == [2, 1]
    assert store.version(first.version).files["ShopFlow.py"].plan == compiled.plan.digest


def test_going_back_goes_back_to_the_same_version(
    compiled: Compiled, own: Settings, store: Deployments
) -> None:
    deploy_to_store(compiled, own)
    first = store.last_change("ShopFlow")
    deploy_to_store(other_word(compiled, "more"), own)
    back = store.roll_back(first)
    assert back is not None
    assert (back.number, back.restores, back.version) == (3, 1, first.version)
    assert store.roll_back(first) is None
    gone = store.delete(first.file)
    assert gone is not None
    assert gone.version == Version().id
    assert store.current() == Version()
    assert store.delete(first.file) is None


def a_file(number: int, name: str = "") -> DeployedFile:
    flow = f"Flow{number}"
    return DeployedFile(name or f"{flow}.py", flow, flow, "module", "b3:" + "0" * 64, "")


def test_deploys_at_the_same_moment_lose_nothing() -> None:
    objects = MemoryObjects("deploys at the same moment")
    count = 8
    start = threading.Barrier(count)

    def one(number: int) -> None:
        start.wait()
        Deployments(objects).deploy(a_file(number), b"text")

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Deployments(objects)
    assert sorted(store.current().files) == sorted(f"Flow{number}.py" for number in range(count))
    assert [record.number for record in store.history()] == list(range(count, 0, -1))
    objects.forget()


def test_two_dags_never_share_a_file(compiled: Compiled, own: Settings) -> None:
    one = replace(compiled, plan=replace(compiled.plan, flow="b_x_c"))
    other = replace(compiled, plan=replace(compiled.plan, flow="c", project=Project("b", "x")))
    assert (one.plan.dag_id, other.plan.dag_id) == ("b_x_c", "b.x.c")
    deploy_to_store(one, own)
    for force in (False, True):
        with pytest.raises(DeployError, match="the DAG 'b_x_c' there is that of the flow"):
            deploy_to_store(other, own, force=force)
    store = Deployments(MemoryObjects("two of a name"))
    store.deploy(a_file(1, "same.py"), b"one")
    with pytest.raises(AlreadyExists, match="is that of the DAG 'Flow1'"):
        store.deploy(a_file(2, "same.py"), b"two")


def test_another_flow_of_the_same_dag_id_is_refused(
    compiled: Compiled, own: Settings, store: Deployments
) -> None:
    deploy_to_store(compiled, own)
    moved = replace(compiled, plan=replace(compiled.plan, module="elsewhere"))
    with pytest.raises(DeployError, match=r"of elsewhere\.py"):
        deploy_to_store(moved, own)
    assert deploy_to_store(moved, own, force=True).what == "changed"


@pytest.mark.parametrize("name", ["../x.py", "x.txt", ".x.py", "/etc/x.py"])
def test_a_version_that_would_leave_its_folder_is_refused(name: str) -> None:
    objects = MemoryObjects(f"leaves {name}")
    made = Version({name: replace(a_file(1), name=name)})
    store = Deployments(objects)
    store._put_new(f"deployments/versions/{made.id}.json", made)
    with pytest.raises(CorruptBlob, match="is not the one that was saved"):
        store.version(made.id)
    for wrong in ("../../x", "abc", "0" * 64):
        with pytest.raises(NotFound):
            store.version(wrong)
    objects.forget()


def test_a_collection_keeps_what_is_deployed(compiled: Compiled, own: Settings, store: Deployments) -> None:
    deploy_to_store(compiled, own)
    deploy_to_store(other_word(compiled, "more"), own)
    collection = Collection(store._objects, Rules(grace_s=0.0, plans_older_than_s=0.0))
    collection.look()
    assert collection.delete().flows == {}
    for record in store.history():
        store.text(record.file)
