"""A resumed run takes over what was finished, and runs the rest with the code as it is now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airloom.client import Run, Task
from airloom.store.datastore import TaskKey

if TYPE_CHECKING:
    from tests.runtime.conftest import Project


LINEAR = """
rate = Parameter("rate", default=1)

@step
def start(self):
    ran("start")
    self.big = bytes(400_000)
    self.next(self.fit)

@step
def fit(self):
    ran("fit")
    print("fitting")
    self.model = self.rate * 2
    self.next(self.{next})
{more}
@step
def end(self):
    ran("end")
    {end}
    self.origin = current.origin_run_id
"""


def linear(project: Project, end: str = "pass", goes_to: str = "end", more: str = "") -> None:
    project.write_traced(LINEAR.format(end=end, next=goes_to, more=more))


def test_only_what_failed_runs_again_with_the_new_code(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run("--rate", "7", code=1)
    failed = project.latest
    assert project.ran() == ["end", "fit", "start"]
    linear(project, "self.answer = self.model + 1")
    told = project.resume().stdout
    run = project.latest
    assert project.ran() == ["end"]
    assert run.successful
    assert f"{run.pathspec} resumes {failed.pathspec}: 2 tasks are taken over" in told
    assert run.data is not None
    assert (run.data.answer, run.data.origin) == (15, failed.id)
    assert run.origin_pathspec == failed.pathspec
    assert run.plan.digest != failed.plan.digest


def test_what_is_taken_over_points_at_the_same_blobs(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    before = {path.name for path in (project.root / "blobs").rglob("*") if path.is_file()}
    project.resume(code=1)
    after = {path.name for path in (project.root / "blobs").rglob("*") if path.is_file()}
    assert before == after
    assert (
        project.latest["start"].task["big"].sha
        == Task(f"{project.latest.origin_pathspec}/start/0", datastore=str(project.root))["big"].sha
    )


def test_a_clone_says_which_task_really_ran(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    first = project.latest
    project.resume(code=1)
    project.resume(code=1)
    run = project.latest
    fit = run["fit"].task
    assert fit.origin_pathspec == f"{first.pathspec}/fit/0"
    assert fit["model"].origin_pathspec == f"{first.pathspec}/fit/0/model"
    assert fit.stdout == "fitting\n"
    assert fit.parent_pathspecs == (f"{run.pathspec}/start/0@0",)
    assert [task.pathspec for task in fit.parent_tasks] == [f"{run.pathspec}/start/0"]
    assert fit.usage == Task(fit.origin_pathspec or "", datastore=str(project.root)).usage
    assert run["end"].task.origin_pathspec is None


def test_a_clone_is_of_the_code_that_made_it(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    first = project.latest
    linear(project)
    project.resume()
    assert "raise ValueError('bug')" in project.latest["fit"].task.code.flowspec
    assert project.latest["fit"].task.code == first.code
    assert project.latest["end"].task.code == project.latest.code != first.code


def test_from_a_step_on_all_runs_again(project: Project) -> None:
    linear(project)
    project.run()
    project.ran()
    project.resume("fit")
    assert project.ran() == ["end", "fit"]
    assert project.latest.origin["resumed_at"] == "fit"


def test_a_run_that_succeeded_has_nothing_to_resume(project: Project) -> None:
    linear(project)
    project.run()
    told = project.resume(code=7).stderr
    assert "has succeeded: there is nothing left to run" in told
    assert "`resume end`" in told
    assert project.latest.origin_pathspec is None


def test_the_parameters_are_those_of_the_origin(project: Project) -> None:
    linear(project)
    project.run("--rate", "7")
    told = project.resume("fit", "--rate", "8", code=2).stderr
    assert "'rate' cannot be given: a resumed run has those of its origin" in told
    project.resume("fit", env={"AIRLOOM_RUN_RATE": "9"})
    assert project.value("fit", "model") == 14


def test_a_new_parameter_has_its_default(project: Project) -> None:
    linear(project)
    project.run()
    project.write_traced(
        'extra = Parameter("extra", default=5)\n'
        + LINEAR.format(end="self.x = self.extra", next="end", more=""),
    )
    project.resume("end")
    assert project.value("end", "x") == 5


def test_a_new_parameter_without_value_is_refused(project: Project) -> None:
    linear(project)
    project.run()
    text = LINEAR.format(end="self.x = self.extra", next="end", more="")
    project.write_traced(f'extra = Parameter("extra", type=int, required=True)\n{text}')
    told = project.resume("end", code=2).stderr
    assert "'extra' is required and has no value" in told


def test_a_step_put_in_between_runs_and_all_after_it(project: Project) -> None:
    linear(project)
    project.run()
    project.ran()
    linear(
        project,
        "self.seen = self.middle",
        "between",
        "\n@step\ndef between(self):\n    self.middle = 3\n    self.next(self.end)\n",
    )
    project.resume()
    assert project.ran() == ["end"]
    assert project.value("end", "seen") == 3


def test_errors_name_the_run_and_the_step(project: Project) -> None:
    linear(project)
    assert "root has no run" in project.resume(code=7, env={"AIRLOOM_USER": "root"}).stderr
    project.run()
    assert "no run '123'" in project.resume("--origin-run-id", "123", code=5).stderr
    assert "did you mean 'fit'?" in project.resume("fti", code=2).stderr
    other = f"Other/{project.latest.id}"
    assert "is a run of the flow Other" in project.resume("--origin-run-id", other, code=7).stderr


def test_a_run_of_another_flow_is_named_as_such(project: Project) -> None:
    linear(project)
    project.run()
    run = project.latest.id
    project.file.write_text(project.file.read_text().replace("MyFlow", "Renamed"))
    assert "is one of the flow MyFlow" in project.resume("--origin-run-id", run, code=7).stderr


def test_the_newest_run_of_the_user_is_resumed(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1, env={"AIRLOOM_USER": "ada"})
    hers = project.latest
    project.run(code=1, env={"AIRLOOM_USER": "bob"})
    project.resume(code=1, env={"AIRLOOM_USER": "ada"})
    assert project.latest.origin_pathspec == hers.pathspec
    assert project.latest.user == "ada"


def test_a_run_id_file_and_tags_are_for_the_new_run(project: Project) -> None:
    linear(project)
    project.run("--tag", "old")
    file = project.folder / "id"
    project.resume("end", "--tag", "new", "--run-id-file", str(file))
    run = Run(f"MyFlow/{file.read_text()}", datastore=str(project.root))
    assert run == project.latest
    assert run.user_tags == {"new"}


def test_a_single_step_is_resumed(project: Project) -> None:
    project.write_traced("@step\ndef start(self):\n    ran('start')\n    raise ValueError\n")
    project.run(code=1)
    project.write_traced("@step\ndef start(self):\n    ran('start')\n")
    told = project.resume().stdout
    assert "0 tasks are taken over" in told
    assert project.latest.successful


def test_what_was_not_run_again_after_its_parent_is_not_taken_over(project: Project) -> None:
    linear(project, "raise ValueError")
    project.run(code=1)
    project.ran()
    key = TaskKey("MyFlow", project.latest.id, "start", "0")
    store = project.datastore
    # As a cleared task in Airflow leaves it: a newer attempt that nothing has read.
    attempt = store.claim(key, lambda _: replace(store.begin(key, 0), generation=1))
    store.commit(key, attempt, store.done(key, 0))
    linear(project)
    project.resume()
    assert project.ran() == ["end", "fit"]
    assert project.latest["start"].task.origin_pathspec == key.pathspec


def test_a_caught_failure_is_taken_over_as_such(project: Project) -> None:
    text = """
    @catch(var="problem")
    @step
    def start(self):
        ran("start")
        raise KeyError("nothing")
        self.next(self.end)

    @step
    def end(self):
        {end}
    """
    project.write_traced(text.format(end="raise ValueError"))
    project.run(code=1)
    project.ran()
    project.write_traced(text.format(end="self.kind = self.problem.type"))
    project.resume()
    assert project.ran() == []
    assert project.value("end", "kind").endswith("KeyError")
    assert project.latest["start"].task.exception is not None


def test_a_resume_for_the_debugger_runs_in_one_process(project: Project) -> None:
    linear(project, "raise ValueError('bug')")
    project.run(code=1)
    linear(project)
    project.resume("--debug")
    assert project.latest.successful
