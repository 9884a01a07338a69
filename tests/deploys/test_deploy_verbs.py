"""Deploys at the command line: what people are told."""

from __future__ import annotations

import json
import linecache
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from airloom.cli.deployments import warn_if_stale
from airloom.cli.main import main
from airloom.compiler.planner import Compiled
from airloom.deploy import deploy, deploy_to_store
from airloom.deploys.folders import dag_files
from airloom.plan import Plan, Project
from airloom.settings import Settings
from airloom.store.deployments import Deployments
from support.shop import FLOW, other_word


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    ended = main(arguments)
    out, err = capsys.readouterr()
    assert ended == code, out + err
    return out + err


def change(flow_file: Path, text: str = "", **values: object) -> None:
    """Write another version of the flow, and forget the one that this process has imported."""
    flow_file.write_text(text or FLOW.format(**{"least": 1, "memory": 1024, "word": "one"} | values))
    # Of the same length, and written in the same second: Python would take the former one's bytecode.
    shutil.rmtree(flow_file.parent / "__pycache__", ignore_errors=True)
    sys.modules.pop(flow_file.stem, None)
    linecache.clearcache()


def test_the_verbs_of_deployments(
    own: Settings, flow_file: Path, capsys: pytest.CaptureFixture[str], store: Deployments
) -> None:
    file = str(flow_file)
    assert "nothing is deployed" in said(capsys, "deployments", "list")
    assert "change 1" in said(capsys, "deploy", file, "--to-store")
    change(flow_file, word="two")
    said(capsys, "deploy", file, "--to-store")
    (row,) = json.loads(said(capsys, "deployments", "list", "--json"))
    assert (row["dag_id"], row["number"], row["user"], row["edited"]) == ("ShopFlow", 2, "ann", False)
    history = said(capsys, "deployments", "show", "ShopFlow").splitlines()
    assert history[1].startswith("* 2  deploy")
    assert history[2].startswith("  1  deploy")
    assert "rolled back" in said(capsys, "deployments", "rollback", "ShopFlow")
    assert "left unchanged" in said(capsys, "deployments", "rollback", "ShopFlow", "--to", "1")
    plan = row["plan"]
    assert "of change 2" in said(capsys, "deployments", "rollback", "ShopFlow", "--to", plan[:12])
    assert "taken out" in said(capsys, "deployments", "delete", "ShopFlow")
    assert "is deployed to this store" in said(capsys, "deployments", "delete", "ShopFlow", code=5)
    assert "rolled back" in said(capsys, "deployments", "rollback", "ShopFlow")
    assert "did you mean 'ShopFlow'" in said(capsys, "deployments", "show", "ShopFlo", code=5)
    assert "has no change '99'" in said(capsys, "deployments", "rollback", "ShopFlow", "--to", "99", code=5)


def test_branches_and_production_are_deployments_of_their_own(
    compiled: Compiled, own: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    for project in (Project("shops", "prod", production=True), Project("shops", "test.new")):
        deploy_to_store(replace(compiled, plan=replace(compiled.plan, project=project)), own)
    one, other = said(capsys, "deployments", "list").splitlines()
    assert one.startswith(
        "shops.prod.ShopFlow  ShopFlow of shop_flow.py  project shops, production  plan b3:"
    )
    assert other.startswith(
        "shops.test.new.ShopFlow  ShopFlow of shop_flow.py  project shops, test.new  plan"
    )
    assert "project shops, test.new" in said(capsys, "deployments", "show", "shops.test.new.ShopFlow")
    said(capsys, "deployments", "delete", "shops.test.new.ShopFlow")
    (left,) = json.loads(said(capsys, "deployments", "list", "--json"))
    assert (left["project"], left["production"], left["file"]) == ("shops", True, "shops_prod_ShopFlow.py")


def test_a_stale_deployment_is_told(
    compiled: Compiled, own: Settings, dags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(plan: Plan, own: Settings = own) -> str:
        warn_if_stale(plan, own)
        return capsys.readouterr().err

    changed = other_word(compiled, "more")
    assert told(compiled.plan) == ""
    deploy(compiled, own, dags)
    assert told(compiled.plan) == ""
    assert f"gets the plan {compiled.plan.digest[:11]}, not {changed.plan.digest[:11]}" in told(changed.plan)
    deploy_to_store(changed, own)
    assert told(changed.plan) == ""
    (dags / "file").touch()
    assert told(changed.plan, replace(own, datastore_root=str(dags / "file"))) == ""


def test_a_rollback_to_a_plan_that_is_gone_is_refused(
    own: Settings, flow_file: Path, capsys: pytest.CaptureFixture[str], store: Deployments
) -> None:
    said(capsys, "deploy", str(flow_file), "--to-store")
    first = store.last_change("ShopFlow")
    change(flow_file, word="two")
    said(capsys, "deploy", str(flow_file), "--to-store")
    store._objects.delete(f"flows/ShopFlow/plans/{first.file.plan.replace(':', '%3A')}.json")
    assert "the store has no plan" in said(capsys, "deployments", "rollback", "ShopFlow", code=5)
    assert store.last_change("ShopFlow").number == 2


def test_the_verbs_know_edited_files_of_a_folder(
    own: Settings, flow_file: Path, dags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ("--dags-folder", str(dags))
    said(capsys, "deploy", str(flow_file), *folder)
    assert "edited" not in said(capsys, "deployments", "list", *folder)
    (file,) = dag_files(dags)
    file.path.write_text(file.path.read_text() + "# mine\n")
    assert said(capsys, "deployments", "list", *folder).rstrip().endswith("edited by hand")
    assert "edited by hand" in said(capsys, "deploy", str(flow_file), *folder, code=4)
    assert "edited by hand" in said(capsys, "deployments", "delete", "ShopFlow", *folder, code=4)
    said(capsys, "deployments", "delete", "ShopFlow", "--force", *folder)
    assert dag_files(dags) == []
    assert "has no DAG file" in said(capsys, "deployments", "delete", "ShopFlow", *folder, code=4)


def test_a_deploy_needs_one_place(own: Settings, flow_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ((), ("--to-store", "--dags-folder", "x")):
        assert "give either --dags-folder FOLDER or --to-store" in said(
            capsys, "deploy", str(flow_file), *options, code=2
        )


def test_diff_tells_what_changes_and_ends_with_1(
    own: Settings, flow_file: Path, dags: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(flow_file)
    assert "is not deployed" in said(capsys, "diff", file, code=1)
    said(capsys, "deploy", file, "--dags-folder", str(dags))
    assert "nothing would change" in said(capsys, "diff", file)
    assert "nothing would change" in said(capsys, "diff", file, "--dags-folder", str(dags))
    first = json.loads(said(capsys, "diff", file, "--json"))["after"]
    change(flow_file, least=2, memory=2048, word="two")
    (flow_file.parent / "more.py").write_text("x = 1\n")
    (flow_file.parent / "data.txt").write_bytes(b"\xff\x00")
    told = said(capsys, "diff", file, "--code", code=1).splitlines()
    assert "      default: 1 -> 2" in told
    assert "      resources.memory_mib: 1024 MiB -> 2048 MiB" in told
    assert {"  + file more.py", "  ~ file shop_flow.py", "+x = 1", '+        print("two")'} <= set(told)
    assert "Binary files differ: data.txt" in told
    assert not [line for line in told if "line" in line.partition(":")[0]]
    data = json.loads(said(capsys, "diff", file, "--json", "--against", first[:12], code=1))
    assert data["before"] == first
    assert data["steps"]["changed"] == {"start": {"resources.memory_mib": [1024, 2048]}}
    assert data["parameters"]["changed"] == {"least": {"default": [1, 2]}}
    assert "no plans of ShopFlow begin with" in said(capsys, "diff", file, "--against", "b3:00", code=5)
    assert "has no run 'x'" in said(capsys, "diff", file, "--against", "x", code=5)


def test_diff_tells_steps_that_come_and_go(
    own: Settings, flow_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "deploy", str(flow_file), "--to-store")
    text = flow_file.read_text().replace("self.next(self.end)", "self.next(self.middle)")
    middle = "    @step\n    def middle(self):\n        self.next(self.end)\n\n    @step\n    def end"
    change(flow_file, text.replace("    @step\n    def end", middle))
    told = said(capsys, "diff", str(flow_file), code=1).splitlines()
    assert "  + step middle" in told
    assert '      transition.targets: ["end"] -> ["middle"]' in told
    assert '      parents: ["start"] -> ["middle"]' in told


def test_diff_sees_what_templates_change(
    own: Settings, flow_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "deploy", str(flow_file), "--to-store")
    templates = tmp_path / "templates"
    templates.mkdir()
    (templates / "dag.py.j2").write_text(
        '{% extends "airloom/dag.py.j2" %}\n{% block tags %}"team"{% endblock %}\n'
    )
    options = ("--template-dir", str(templates))
    assert "the templates give another text" in said(capsys, "diff", str(flow_file), *options, code=1)
    said(capsys, "deploy", str(flow_file), "--to-store", *options)
    assert "nothing would change" in said(capsys, "diff", str(flow_file), *options)
