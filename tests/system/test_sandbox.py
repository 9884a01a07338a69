"""The embedded Airflow: starts, does what its client asks, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airloom.errors import DeployError
from airloom.sandbox import ApiError, Sandbox, TaskInstance
from airloom.sandbox.processes import belonging, table

system = pytest.mark.system

PROBE = """
import subprocess, sys, time
from datetime import timedelta
from pathlib import Path
from airflow.sdk import Param, dag, get_current_context, task

FOLDER = Path(__file__).parents[2]
again = dict(retries=1, retry_delay=timedelta(seconds=0))

@dag(schedule=None, params={"count": Param(2, type="integer", minimum=1)})
def sandbox_probe():
    @task
    def numbers(params):
        return list(range(params["count"]))

    @task
    def double(x):
        print(f"doubling {x}")
        return 2 * x

    @task(**again)
    def shaky(xs):
        if get_current_context()["ti"].try_number == 1:
            raise RuntimeError("the first try fails")
        return sum(xs[:])

    shaky(double.expand(x=numbers()))

@dag(schedule=None)
def sandbox_gate():
    @task
    def before():
        return 1

    @task
    def gate(x):
        if not (FOLDER / "open").exists():
            raise RuntimeError("the gate is shut")

    @task
    def after():
        pass

    gate(before()) >> after()

@dag(schedule=None)
def sandbox_sleep():
    @task(**again)
    def sleep():
        print("now asleep", flush=True)
        if get_current_context()["ti"].try_number == 1:
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
            time.sleep(300)

    sleep()

sandbox_probe()
sandbox_gate()
sandbox_sleep()
"""


@pytest.fixture(scope="module")
def probe(sandbox: Sandbox) -> Sandbox:
    (sandbox.dags_folder / "probe.py").write_text(PROBE)
    for dag_id in ("sandbox_probe", "sandbox_gate", "sandbox_sleep"):
        sandbox.api.wait_for_dag(dag_id, 60)
    return sandbox


def states(tasks: list[TaskInstance]) -> dict[tuple[str, int], tuple[str, int]]:
    return {(task.task_id, task.map_index): (task.state, task.try_number) for task in tasks}


def eventually(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def asleep(sandbox: Sandbox, run_id: str) -> TaskInstance | None:
    [task] = sandbox.api.task_instances("sandbox_sleep", run_id)
    if task.state != "running" or not task.pid:
        return None
    return task if "now asleep" in sandbox.api.task_log("sandbox_sleep", run_id, "sleep") else None


def with_home_in_environment(home: Path) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdecimal() and str(home).encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@system
def test_a_run_takes_params_maps_and_retries(probe: Sandbox) -> None:
    api = probe.api
    seen: list[list[TaskInstance]] = []
    run_id = api.trigger("sandbox_probe", {"count": 3}, "first~1.0")
    assert run_id == "first~1.0"
    run = api.wait_for_run("sandbox_probe", run_id, 120, on_change=seen.append)
    assert (run.state, run.conf) == ("success", {"count": 3})
    assert len(seen) > 2
    assert states(seen[-1]) == {
        ("double", 0): ("success", 1),
        ("double", 1): ("success", 1),
        ("double", 2): ("success", 1),
        ("numbers", -1): ("success", 1),
        ("shaky", -1): ("success", 2),
    }
    assert "doubling 2" in api.task_log("sandbox_probe", run_id, "double", map_index=2).splitlines()
    assert "RuntimeError: the first try fails" in api.task_log("sandbox_probe", run_id, "shaky", 1)
    assert api.xcom("sandbox_probe", run_id, "double", map_index=2) == 4
    assert api.xcom("sandbox_probe", run_id, "shaky") == 6
    assert [version["version_number"] for version in api.dag_versions("sandbox_probe")] == [1]


@system
def test_what_airflow_refuses_has_its_status(probe: Sandbox) -> None:
    def status(*arguments: object) -> int:
        with pytest.raises(ApiError) as refused:
            probe.api.trigger(*arguments)  # type: ignore[arg-type]
        return refused.value.status

    assert status("no_such_dag") == 404
    assert status("sandbox_probe", {"count": "many"}) == 400
    probe.api.trigger("sandbox_probe", {}, "taken")
    assert status("sandbox_probe", {}, "taken") == 409
    probe.api.wait_for_run("sandbox_probe", "taken")


@system
def test_a_cleared_task_runs_again_with_what_follows(probe: Sandbox) -> None:
    api, gate = probe.api, probe.airflow_home.parent / "open"
    run_id = api.trigger("sandbox_gate")
    assert api.wait_for_run("sandbox_gate", run_id).state == "failed"
    gate.touch()
    assert set(api.clear("sandbox_gate", run_id, ["gate"], downstream=True)) == {"gate", "after"}
    assert api.wait_for_run("sandbox_gate", run_id).state == "success"
    assert states(api.task_instances("sandbox_gate", run_id)) == {
        ("after", -1): ("success", 1),
        ("before", -1): ("success", 1),
        ("gate", -1): ("success", 2),
    }


@system
def test_a_killed_task_process_is_tried_again(probe: Sandbox) -> None:
    run_id = probe.api.trigger("sandbox_sleep")
    eventually(lambda: asleep(probe, run_id))
    task = asleep(probe, run_id)
    assert task is not None
    assert task.pid is not None
    os.kill(task.pid, signal.SIGKILL)
    assert probe.api.wait_for_run("sandbox_sleep", run_id).state == "success"
    assert states(probe.api.task_instances("sandbox_sleep", run_id)) == {("sleep", -1): ("success", 2)}


@system
def test_a_task_set_to_failed_is_ended(probe: Sandbox) -> None:
    run_id = probe.api.trigger("sandbox_sleep")
    eventually(lambda: asleep(probe, run_id))
    task = asleep(probe, run_id)
    assert task is not None
    probe.api.set_task_state("sandbox_sleep", run_id, "sleep", "failed")
    assert probe.api.wait_for_run("sandbox_sleep", run_id).state == "failed"
    eventually(lambda: task.pid not in table())


@system
def test_a_file_that_does_not_load_is_told_of(probe: Sandbox) -> None:
    broken = probe.dags_folder / "broken.py"
    broken.write_text("from airflow.sdk import dag\nraise RuntimeError('a broken dag file')\n")
    try:
        eventually(lambda: any("a broken dag file" in trace for trace in probe.api.import_errors().values()))
        with pytest.raises(DeployError, match="a broken dag file"):
            probe.api.wait_for_dag("broken", 1)
    finally:
        broken.unlink()
    eventually(lambda: not probe.api.import_errors())


@system
def test_it_listens_on_the_loopback_address_only(probe: Sandbox) -> None:
    ours = {process.pid for process in belonging((), probe.airflow_home)}
    ours |= {
        process.pid
        for process in belonging([program.pid for program in probe._running.values()], probe.airflow_home)
    }
    inodes = set()
    for pid in ours:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(str(descriptor.readlink()))
            except OSError:
                continue
    listening = [
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path("/proc/net", name).read_text().splitlines()[1:]
        if line.split()[3] == "0A" and f"socket:[{line.split()[9]}]" in inodes
    ]
    port = int(probe.url.rpartition(":")[2])
    assert listening == [f"0100007F:{port:04X}"]


@system
@pytest.mark.slow
def test_nothing_is_left_after_a_stop_and_a_restart_goes_on(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "a home", datastore_root="unused", parallelism=1)
    with sandbox:
        (sandbox.dags_folder / "probe.py").write_text(PROBE)
        sandbox.api.wait_for_dag("sandbox_sleep", 60)
        run_id = sandbox.api.trigger("sandbox_sleep")
        eventually(lambda: asleep(sandbox, run_id))
        leaders = [program.pid for program in sandbox._running.values()]
        before = {process.pid for process in belonging(leaders, sandbox.airflow_home)}
        assert len(before) >= 6  # 3 components, a worker, the task, what the task started
        sandbox.restart("scheduler")  # the workers of the one before live on
        with pytest.raises(DeployError, match="another process"):
            Sandbox(sandbox.home, datastore_root="unused").start()
        sandbox.stop(grace_s=2)
    assert not before & table().keys()
    assert with_home_in_environment(sandbox.airflow_home) == []
    sandbox.stop()

    again = Sandbox(sandbox.home, datastore_root="unused", parallelism=1)
    assert again.password == sandbox.password
    with again:
        assert again.api.wait_for_run("sandbox_sleep", run_id).state == "success"
    assert with_home_in_environment(sandbox.airflow_home) == []


@system
@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_program_that_started_it(tmp_path: Path, ending: signal.Signals) -> None:
    program = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from airloom.sandbox import Sandbox
        Sandbox(Path({str(tmp_path)!r}), datastore_root="unused").start()
        print("started", flush=True)
        time.sleep(300)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "started\n"
        owner.send_signal(ending)
    home = tmp_path / "airflow"
    if ending is signal.SIGKILL:  # nothing can follow that; the next one in the folder tidies up
        assert with_home_in_environment(home)
        Sandbox(tmp_path, datastore_root="unused").stop()
    assert with_home_in_environment(home) == []


@system
def test_a_component_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    sandbox = Sandbox(
        tmp_path, datastore_root="unused", environment={"AIRFLOW__CORE__EXECUTOR": "no.such.Executor"}
    )
    with pytest.raises(DeployError, match=r"(?s)scheduler ended.*no\.such"):
        sandbox.start()
    assert with_home_in_environment(sandbox.airflow_home) == []


def test_an_interpreter_without_airflow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeployError, match="not installed"):
        Sandbox(tmp_path, datastore_root="unused", python=tmp_path / "python").start()


def test_settings_of_another_airflow_do_not_leak_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AIRFLOW__CORE__LOAD_EXAMPLES",
        "AIRFLOW_CONFIG",
        "AIRFLOW_CONN_X",
        "AIRLOOM_DATASTORE_ROOT",
    ):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environment = Sandbox(
        tmp_path, datastore_root="s3://mine", environment={"AIRFLOW_CONN_X": "mine"}
    ).environment
    assert "theirs" not in environment.values()
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["AIRFLOW__AIRLOOM__DATASTORE_ROOT"] == "s3://mine"
    assert environment["AIRFLOW_CONN_X"] == "mine"


def test_secrets_are_their_owners_only(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path / "new", datastore_root="unused")
    assert sandbox.home.stat().st_mode & 0o777 == 0o700
    for file in (sandbox.home / "secrets.json", sandbox.airflow_home / "passwords.json"):
        assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.airflow
def test_a_migrated_home_is_enough_for_dag_test(airflow_home: Sandbox) -> None:
    (airflow_home.dags_folder / "alone.py").write_text(
        "from airflow.sdk import dag, task\n"
        "@dag(schedule=None)\n"
        "def alone():\n"
        "    @task\n"
        "    def one(): return 1\n"
        "    one()\n"
        "made = alone()\n"
        "if __name__ == '__main__': print('state', made.test().state)\n"
    )
    ran = subprocess.run(
        [sys.executable, airflow_home.dags_folder / "alone.py"],
        env=airflow_home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "state success" in ran.stdout, ran.stderr
