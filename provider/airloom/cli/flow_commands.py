"""The verbs of one flow; the options of those that start a run follow its parameters."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from airloom import settings as settings_of
from airloom.cli.choices import FlowFile, offered, take
from airloom.cli.dump import dump_of_flow
from airloom.cli.parameters import as_conf, file_option, given, parameter_options
from airloom.cli.show import render, rounded_sizes
from airloom.cli.tags import tag_of_flow
from airloom.compiler.planner import Compiled, compile_flow
from airloom.errors import FlowError
from airloom.settings import Settings


@dataclass(frozen=True)
class Options:
    """What stands before the verb."""

    settings: Settings
    quiet: bool
    branch: str | None = None
    production: bool = False

    def compile(self, source: FlowFile) -> Compiled:
        """Compile the flow for the deployment that is asked for, with what was chosen."""
        return compile_flow(
            source.flow,
            self.settings,
            branch=self.branch,
            production=self.production,
            configs=source.configs,
            attached=source.choices.attached,
        )

    def with_workers(self, count: int | None) -> Settings:
        """Settings of a run with so many workers; None for as many as they say."""
        return self.settings if count is None else replace(self.settings, max_workers=str(count))


class _FlowGroup(click.Group):
    """A group whose verbs are built when configs and --with are known, which are taken out first."""

    source: FlowFile
    _helps = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        choices, rest = take(args, self.source.flow)
        self.source = replace(self.source, choices=choices, environment=os.environ)
        self._helps = not rest or bool({"-h", "--help"} & set(rest))
        return super().parse_args(ctx, rest)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_VERBS, *super().list_commands(ctx), *_READING]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _READING:
            return _reading(cmd_name, self.source.flow.__name__)
        if cmd_name not in _VERBS:
            return super().get_command(ctx, cmd_name)
        source = self.source
        try:
            _ = source.finished
        except FlowError:
            if not self._helps:
                raise
            source = replace(source, finishing=False)  # the help tells what can be known without
        return _VERBS[cmd_name](source)


def flow_group(source: FlowFile) -> click.Group:
    """Build the command line of one flow."""

    @click.group(
        cls=_FlowGroup,
        help=(source.flow.__doc__ or f"The flow {source.flow.__name__}.").strip(),
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    @click.option("--datastore-root", metavar="FOLDER|URL", help="Where runs and artifacts are kept.")
    @click.option("--branch", help="Branch of the flow's @project.")
    @click.option("--production", is_flag=True, help="The production of the flow's @project.")
    @click.option("--quiet", is_flag=True, help="Print what goes wrong only.")
    @click.option("-v", "--verbose", is_flag=True, help="Print what the program does, for its developers.")
    @click.pass_context
    def group(
        context: click.Context,
        datastore_root: str | None,
        branch: str | None,
        production: bool,
        quiet: bool,
        verbose: bool,
    ) -> None:
        if verbose:
            logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
        found = settings_of.load({"datastore_root": datastore_root})
        context.obj = Options(found, quiet, branch, production)

    group.source = source
    group.params += offered(source.flow)
    group.add_command(tag_of_flow(source.flow.__name__))
    group.add_command(dump_of_flow(source.flow.__name__))
    return group


def _check(source: FlowFile) -> click.Command:
    @click.command("check", help="Say what is wrong with the flow, without running it.")
    @click.option("--dag", is_flag=True, help="Have Airflow load the DAG file, too; no database is needed.")
    @click.option("--template-dir", metavar="FOLDER", help="With --dag: templates of the DAG file.")
    @click.pass_obj
    def check(options: Options, dag: bool, template_dir: str | None) -> None:
        plan = options.compile(source).plan
        if template_dir is not None and not dag:
            raise click.UsageError("--template-dir is for --dag.")
        if dag:
            from airloom.cli.deployments import check_dag_file

            check_dag_file(plan, template_dir, options.quiet)
        if not options.quiet:
            for text in rounded_sizes(plan):
                click.echo(f"size of {text}")
            click.echo(f"{plan.flow}: {len(plan.steps)} steps, all is well. Plan {plan.digest[:11]}.")

    return check


def _show(source: FlowFile) -> click.Command:
    @click.command("show", help="Show the flow's steps.")
    @click.option("--format", "form", type=click.Choice(["text", "mermaid", "dot", "json"]), default="text")
    @click.pass_obj
    def show(options: Options, form: str) -> None:
        click.echo(render(options.compile(source).plan, form))

    return show


def _run(source: FlowFile) -> click.Command:
    def run(
        max_workers: int | None,
        debug: bool,
        run_id_file: str | None,
        tag: tuple[str, ...],
        params_file: str | None,
        **values: str | None,
    ) -> int:
        from airloom.cli.run import new, run_locally

        options: Options = click.get_current_context().obj
        run_settings = options.with_workers(max_workers)
        return run_locally(
            source.file,
            source.flow,
            lambda: options.compile(source),
            run_settings,
            new(
                lambda compiled: given(compiled, source.finished, values, os.environ, params_file),
                run_settings,
                tag,
            ),
            debug=debug,
            quiet=options.quiet,
            run_id_file=None if run_id_file is None else Path(run_id_file),
        )

    return click.Command(
        "run",
        callback=run,
        params=[*parameter_options(source.finished), file_option(), *_run_options()],
        help="Run the flow on this machine.",
    )


def _resume(source: FlowFile) -> click.Command:
    def resume(
        step: str | None,
        origin_run_id: str | None,
        max_workers: int | None,
        debug: bool,
        run_id_file: str | None,
        tag: tuple[str, ...],
        **values: str | None,
    ) -> int:
        from airloom.cli.resume import refuse_parameters, resumed
        from airloom.cli.run import run_locally

        options: Options = click.get_current_context().obj
        refuse_parameters(source.finished, values)
        run_settings = options.with_workers(max_workers)
        return run_locally(
            source.file,
            source.flow,
            lambda: options.compile(source),
            run_settings,
            resumed(origin_run_id, step, run_settings, tag, quiet=options.quiet),
            debug=debug,
            quiet=options.quiet,
            run_id_file=None if run_id_file is None else Path(run_id_file),
        )

    # Known, so that giving one is answered with the reason why it cannot be given.
    parameters = parameter_options(source.finished)
    for parameter in parameters:
        parameter.hidden = True
    params: list[click.Parameter] = [
        click.Argument(["step"], required=False),
        click.Option(
            ["--origin-run-id"], metavar="RUN", help="The run to take tasks over from; else your newest one."
        ),
    ]
    return click.Command(
        "resume",
        callback=resume,
        params=[*parameters, *params, *_run_options()],
        help="Run what an older run has not finished, or all from STEP on, with the code as it is now.",
    )


def _run_options() -> list[click.Parameter]:
    return [
        click.Option(["--max-workers"], type=click.IntRange(1), help="How many tasks run at once."),
        click.Option(
            ["--debug"], is_flag=True, help="One task after another in this process: breakpoint() works."
        ),
        click.Option(["--run-id-file"], metavar="PATH", help="Write the run's id into this file."),
        click.Option(["--tag"], multiple=True, help="Give the run a tag; may be given several times."),
    ]


def _deploy(source: FlowFile) -> click.Command:
    @click.command("deploy", help="Compile the flow into a DAG file and put it where Airflow finds it.")
    @click.option("--dags-folder", metavar="FOLDER", help="Airflow's DAG folder.")
    @click.option("--to-store", is_flag=True, help="Into the datastore, whose DAG files a bundle serves.")
    @click.option("--as-task-group", is_flag=True, help="A function that places the flow into DAGs of yours.")
    @click.option("--template-dir", metavar="FOLDER", help="Templates that extend or replace Airloom's.")
    @click.option("--force", is_flag=True, help="Replace a DAG file that was edited, or of another flow.")
    @click.pass_obj
    def deploy(
        options: Options,
        dags_folder: str | None,
        to_store: bool,
        as_task_group: bool,
        template_dir: str | None,
        force: bool,
    ) -> None:
        from airloom.cli.deployments import tell_deployed
        from airloom.deploy import deploy as put
        from airloom.deploy import deploy_group, deploy_to_store

        if (dags_folder is None) is not to_store:
            raise click.UsageError("give either --dags-folder FOLDER or --to-store.")
        if as_task_group and to_store:
            raise click.UsageError("--as-task-group goes into a folder, beside the DAGs that import it.")
        compiled, found = options.compile(source), options.settings
        templates = None if template_dir is None else Path(template_dir)
        if dags_folder is None:
            stored = deploy_to_store(compiled, found, templates=templates, force=force)
            tell_deployed(compiled, found, stored, options.quiet)
        else:
            into = deploy_group if as_task_group else put
            done = into(compiled, found, Path(dags_folder), templates=templates, force=force)
            tell_deployed(compiled, found, done, options.quiet)

    return deploy


def _diff(source: FlowFile) -> click.Command:
    from airloom.cli.diff import diff_verb

    return diff_verb(source)


def _sandbox(source: FlowFile) -> click.Command:
    def sandbox(home: str, keep: bool, params_file: str | None, **values: str | None) -> int:
        from airloom.cli.sandbox import run_in_sandbox

        options: Options = click.get_current_context().obj
        compiled = options.compile(source)
        parameters = given(compiled, source.finished, values, os.environ, params_file)
        return run_in_sandbox(compiled, options.settings, Path(home), parameters, keep=keep)

    options: list[click.Parameter] = [
        click.Option(["--home"], default=".sandbox", show_default=True, help="Folder of the Airflow."),
        click.Option(
            ["--keep"], is_flag=True, help="Leave the Airflow running, and print its URL and login."
        ),
    ]
    return click.Command(
        "sandbox",
        callback=sandbox,
        params=[*parameter_options(source.finished), file_option(), *options],
        help="Compile and deploy the flow into an Airflow of its own, trigger it there, print its artifacts.",
    )


def _trigger(source: FlowFile) -> click.Command:
    def trigger(
        airflow_url: str,
        airflow_user: str,
        airflow_password: str,
        wait_for_end: bool,
        params_file: str | None,
        **values: str | None,
    ) -> int:
        from airloom.airflow_api import AirflowApi
        from airloom.cli.deployments import warn_if_stale

        options: Options = click.get_current_context().obj
        compiled = options.compile(source)
        parameters = given(compiled, source.finished, values, os.environ, params_file)
        plan, api = compiled.plan, AirflowApi(airflow_url.rstrip("/"), airflow_user, airflow_password)
        warn_if_stale(plan, options.settings)
        run_id = api.trigger(plan.dag_id, as_conf(parameters))
        click.echo(f"triggered {plan.dag_id}: {plan.flow}/{plan.run_in_airflow(run_id)}")
        if not wait_for_end:
            return 0
        state = api.wait_for_run(plan.dag_id, run_id, timeout_s=7 * 24 * 3600).state
        click.echo(f"the DAG run is a {state}")
        return 0 if state == "success" else 1

    options: list[click.Parameter] = [
        click.Option(
            ["--airflow-url"], envvar="AIRLOOM_AIRFLOW_URL", required=True, help="Airflow's address."
        ),
        click.Option(["--airflow-user"], envvar="AIRLOOM_AIRFLOW_USER", required=True, help="Login."),
        click.Option(
            ["--airflow-password"],
            envvar="AIRLOOM_AIRFLOW_PASSWORD",
            prompt=True,
            hide_input=True,
            help="Password; better given by the variable, or typed in.",
        ),
        click.Option(
            ["--wait-for-end"], is_flag=True, help="Wait for the end; a failed run gives exit code 1."
        ),
    ]
    return click.Command(
        "trigger",
        callback=trigger,
        params=[*parameter_options(source.finished), file_option(), *options],
        help="Start a run of the deployed flow in Airflow.",
    )


def _reading(verb: str, flow: str) -> click.Command:
    """Build a verb of ``airloom`` that reads the store, for one flow."""
    # Not at the top: running a flow needs none of them.
    from airloom.cli.card_commands import card
    from airloom.cli.code import code
    from airloom.cli.store_commands import logs

    return _of_flow({"logs": logs, "card": card, "code": code}[verb], flow)


def _of_flow(command: click.Command, flow: str) -> click.Command:
    """Give the same command with the flow's name in the pathspec, and the datastore of the group."""
    if isinstance(command, click.Group):
        below = {name: _of_flow(one, flow) for name, one in command.commands.items()}
        return click.Group(command.name, commands=below, help=command.help)

    def callback(**given: Any) -> Any:
        for name in {"pathspec", "run", "other"} & set(given):
            if name != "other" or not Path(given[name]).is_dir():
                given[name] = _named(flow, given[name])
        given["datastore_root"] = click.get_current_context().find_root().obj.settings.datastore_root
        return command.callback(**given) if command.callback is not None else None

    params = [one for one in command.params if one.name != "datastore_root"]
    return click.Command(command.name, callback=callback, params=params, help=command.help)


def _named(flow: str, pathspec: str) -> str:
    return pathspec if pathspec.split("/")[0] == flow else f"{flow}/{pathspec}"


_READING = ("logs", "card", "code")
_VERBS: dict[str, Callable[[FlowFile], click.Command]] = {
    "check": _check,
    "show": _show,
    "run": _run,
    "resume": _resume,
    "diff": _diff,
    "deploy": _deploy,
    "sandbox": _sandbox,
    "trigger": _trigger,
}
