"""The entries of the command line, and the one place where an error becomes an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from airloom.cli.choices import FlowFile
from airloom.cli.flow_commands import flow_group
from airloom.errors import AirloomError, InternalError
from airloom.flow.spec import FlowSpec
from airloom.version import __version__

_FLOW_VERBS = {
    "check": "Say what is wrong with a flow, without running it.",
    "show": "Show a flow's steps, as text, Mermaid or dot.",
    "run": "Run a flow on this machine.",
    "resume": "Run what an older run of a flow has not finished, on this machine.",
    "diff": "Say what a deploy of a flow would change.",
    "deploy": "Compile a flow into a DAG file.",
    "sandbox": "Run a flow in an Airflow of its own on this machine.",
    "trigger": "Start a run of a deployed flow in Airflow.",
}
_starting = False


def _delegate(verb: str) -> Callable[[Sequence[str]], object]:
    def command(arguments: Sequence[str]) -> object:
        file, *rest = arguments or ("--help",)
        if file in ("--help", "-h"):
            click.echo(f"Usage: airloom {verb} FILE[:CLASS] [OPTIONS]\n\n  {_FLOW_VERBS[verb]}\n")
            click.echo(f"  The options depend on the flow: airloom {verb} FILE --help")
            return 0
        path, _, name = file.partition(":")
        group = flow_group(FlowFile.read(Path(path), name or None))
        return group.main([verb, *rest], prog_name=f"airloom {verb} {file}", standalone_mode=False)

    return command


def airloom_group() -> click.Group:
    """Build the command line of ``airloom``."""
    # Not at the top: a flow's file that runs itself needs none of the verbs that read the store.
    from airloom.cli.card_commands import card
    from airloom.cli.care_commands import CARE_COMMANDS
    from airloom.cli.code import code
    from airloom.cli.deployments import deployments
    from airloom.cli.dump import dump_of_airloom
    from airloom.cli.sandbox import sandbox_stop
    from airloom.cli.sizes import sizes
    from airloom.cli.store_commands import STORE_COMMANDS
    from airloom.cli.tags import tag_of_airloom

    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(__version__, prog_name="airloom")
    def airloom() -> None:
        """Write a flow as a Python class; run it as an Airflow DAG whose every result is a version."""

    for verb, text in _FLOW_VERBS.items():
        command = click.Command(
            verb,
            callback=_delegate(verb),
            params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
            help=text,
            short_help=text,
            add_help_option=False,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        )
        airloom.add_command(command)
    for command in (
        *STORE_COMMANDS,
        *CARE_COMMANDS,
        dump_of_airloom(),
        tag_of_airloom(),
        code,
        deployments,
        card,
        sandbox_stop,
        sizes,
    ):
        airloom.add_command(command)
    return airloom


def main(arguments: Sequence[str]) -> int:
    """Run ``airloom`` with these arguments; return the exit code."""
    return _guarded(lambda: airloom_group().main(list(arguments), prog_name="airloom", standalone_mode=False))


def main_of_flow_file(flow: type[FlowSpec]) -> None:
    """Command line of ``python my_flow.py``, begun by ``MyFlow()`` under ``__main__``; ends the process."""
    global _starting
    if _starting:
        return
    _starting = True
    file = Path(sys.argv[0])
    group = flow_group(FlowFile(file, flow))
    sys.exit(
        _guarded(lambda: group.main(sys.argv[1:], prog_name=f"python {file.name}", standalone_mode=False))
    )


def _guarded(run: Callable[[], object]) -> int:
    try:
        result = run()
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("stopped.", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AirloomError as error:
        if isinstance(error, InternalError) and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)
        click.echo(str(error), err=True)
        return error.exit_code
    except KeyboardInterrupt:
        click.echo("stopped.", err=True)
        return 130
    except BrokenPipeError:
        return 1
    return result if isinstance(result, int) else 0
