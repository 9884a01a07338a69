"""The verbs of one flow: check, show, run, deploy, sandbox; their options follow its parameters."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from airloom import settings as settings_of
from airloom.cli.dump import dump_of_flow
from airloom.cli.show import render
from airloom.cli.tags import tag_of_flow
from airloom.codec import Json
from airloom.compiler.planner import Compiled, compile_flow, source_file
from airloom.errors import Place
from airloom.flow.parameters import Parameter, find_file, from_text, parameters_of
from airloom.flow.spec import FlowSpec
from airloom.plan import ParameterPlan
from airloom.settings import Settings

_TYPES = {"int": "INTEGER", "float": "NUMBER", "bool": "BOOLEAN", "json": "JSON", "file": "PATH"}
_ENVIRONMENT = ("AIRLOOM_RUN_", "METAFLOW_RUN_")


@dataclass(frozen=True)
class FlowFile:
    """A flow class, and the file that it was read from."""

    file: Path
    flow: type[FlowSpec]

    @classmethod
    def read(cls, file: Path, name: str | None) -> FlowFile:
        """Import a flow's file.

        Raises
        ------
        FlowError
            When there is no such file or no such flow in it.
        """
        from airloom.errors import FlowError
        from airloom.runtime.code import import_flow

        if not file.is_file():
            raise FlowError(
                "there is no such file", where=Place(str(file)), mend="give the path of a flow's file."
            )
        return cls(file, import_flow(file, name))


@dataclass(frozen=True)
class Options:
    """What stands before the verb."""

    settings: Settings
    quiet: bool
    branch: str | None = None
    production: bool = False

    def compile(self, flow: type[FlowSpec]) -> Compiled:
        """Compile the flow for the deployment that is asked for."""
        return compile_flow(flow, self.settings, branch=self.branch, production=self.production)

    def with_workers(self, count: int | None) -> Settings:
        """Settings of a run with so many workers; None for as many as they say."""
        return self.settings if count is None else replace(self.settings, max_workers=str(count))


def flow_group(source: FlowFile) -> click.Group:
    """Build the command line of one flow."""

    @click.group(
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

    for build in (_check, _show, _run, _resume, _deploy, _sandbox):
        group.add_command(build(source))
    group.add_command(tag_of_flow(source.flow.__name__))
    group.add_command(dump_of_flow(source.flow.__name__))
    return group


def _check(source: FlowFile) -> click.Command:
    @click.command("check", help="Say what is wrong with the flow, without running it.")
    @click.pass_obj
    def check(options: Options) -> None:
        plan = options.compile(source.flow).plan
        if not options.quiet:
            click.echo(f"{plan.flow}: {len(plan.steps)} steps, all is well. Plan {plan.digest[:11]}.")

    return check


def _show(source: FlowFile) -> click.Command:
    @click.command("show", help="Show the flow's steps.")
    @click.option("--format", "form", type=click.Choice(["text", "mermaid", "dot", "json"]), default="text")
    @click.pass_obj
    def show(options: Options, form: str) -> None:
        click.echo(render(options.compile(source.flow).plan, form))

    return show


def _run(source: FlowFile) -> click.Command:
    def run(
        max_workers: int | None,
        debug: bool,
        run_id_file: str | None,
        tag: tuple[str, ...],
        **values: str | None,
    ) -> int:
        from airloom.cli.run import new, run_locally

        options: Options = click.get_current_context().obj
        run_settings = options.with_workers(max_workers)
        return run_locally(
            source.file,
            source.flow,
            lambda: options.compile(source.flow),
            run_settings,
            new(lambda compiled: given(compiled, source.flow, values, os.environ), run_settings, tag),
            debug=debug,
            quiet=options.quiet,
            run_id_file=None if run_id_file is None else Path(run_id_file),
        )

    return click.Command(
        "run",
        callback=run,
        params=[*parameter_options(source.flow), *_run_options()],
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
        refuse_parameters(source.flow, values)
        run_settings = options.with_workers(max_workers)
        return run_locally(
            source.file,
            source.flow,
            lambda: options.compile(source.flow),
            run_settings,
            resumed(origin_run_id, step, run_settings, tag, quiet=options.quiet),
            debug=debug,
            quiet=options.quiet,
            run_id_file=None if run_id_file is None else Path(run_id_file),
        )

    # Known, so that giving one is answered with the reason why it cannot be given.
    parameters = parameter_options(source.flow)
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
    @click.option("--dags-folder", metavar="FOLDER", required=True, help="Airflow's DAG folder.")
    @click.option("--template-dir", metavar="FOLDER", help="Templates that extend or replace Airloom's.")
    @click.pass_obj
    def deploy(options: Options, dags_folder: str, template_dir: str | None) -> None:
        from airloom.deploy import deploy as put

        compiled = options.compile(source.flow)
        done = put(
            compiled,
            options.settings,
            Path(dags_folder),
            templates=None if template_dir is None else Path(template_dir),
        )
        if not options.quiet:
            root = options.settings.datastore_root
            shown = root if "://" in root else str(Path(root).absolute())
            click.echo(f"{compiled.plan.dag_id}: {done.what} {done.file}")
            click.echo(
                f"plan {compiled.plan.digest[:11]} and code are in {shown}; Airflow must name the same"
            )

    return deploy


def _sandbox(source: FlowFile) -> click.Command:
    def sandbox(home: str, keep: bool, **values: str | None) -> int:
        from airloom.cli.sandbox import run_in_sandbox

        options: Options = click.get_current_context().obj
        compiled = options.compile(source.flow)
        parameters = given(compiled, source.flow, values, os.environ)
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
        params=[*parameter_options(source.flow), *options],
        help="Compile and deploy the flow into an Airflow of its own, trigger it there, print its artifacts.",
    )


def parameter_options(flow: type[FlowSpec]) -> list[click.Option]:
    """Options of the command line for a flow's parameters; their values stay text until the plan is known."""
    return [_option(parameter) for parameter in parameters_of(flow).values()]


def _option(parameter: Parameter) -> click.Option:
    flags = {f"--{parameter.name}", f"--{parameter.name.replace('_', '-')}"}
    default = parameter.default
    shown = (
        ""
        if default is None or callable(default) or not parameter.show_default
        else f"  [default: {default}]"
    )
    needed = "  [required]" if parameter.required else ""
    return click.Option(
        [*sorted(flags), f"parameter_{parameter.attribute}"],
        type=click.STRING,
        metavar=_TYPES.get(parameter.kind, "TEXT"),
        help=f"{parameter.help}{shown}{needed}".strip(),
    )


def given(
    compiled: Compiled, flow: type[FlowSpec], values: Mapping[str, str | None], environment: Mapping[str, str]
) -> dict[str, Json | bytes]:
    """Parameters that the command line or the variables AIRLOOM_RUN_<NAME> give, as JSON or a file's bytes.

    Raises
    ------
    ParameterError
        When a text is not of its parameter's type.
    """
    found: dict[str, Json | bytes] = {}
    for parameter in compiled.plan.parameters:
        text, where = values.get(f"parameter_{parameter.attribute}"), f"--{parameter.name}"
        if text is None:
            text, where = _variable(parameter, environment)
        if text is None:
            continue
        if parameter.type == "file":
            file = find_file(parameter.name, text, source_file(flow).parent, where)
            found[parameter.name] = file.read_bytes()
        else:
            found[parameter.name] = from_text(parameter, text, where)
    return found


def _variable(parameter: ParameterPlan, environment: Mapping[str, str]) -> tuple[str | None, str]:
    for prefix in _ENVIRONMENT:
        name = prefix + parameter.name.upper().replace("-", "_")
        if name in environment:
            return environment[name], name
    return None, ""
