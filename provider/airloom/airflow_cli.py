"""``airflow airloom ...``: Airloom's commands, on the datastore that Airflow's configuration names.

Airflow 3.2 and newer ask providers for commands; older ones have ``airloom`` alone.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import CLICommand


def get_commands() -> list[CLICommand]:
    """Give the command to Airflow, which asks whenever it starts: what it needs is imported when it runs."""
    from airflow.cli.cli_config import ActionCommand, Arg

    arguments = Arg(  # type: ignore[no-untyped-call]
        ("arguments",), nargs=argparse.REMAINDER, help="a command of airloom, and its arguments"
    )
    return [
        ActionCommand(
            name="airloom",
            help="Flows, runs and artifacts of Airloom",
            func=run,
            args=(arguments,),
        )
    ]


def run(given: argparse.Namespace) -> None:
    """Run one of Airloom's commands with the settings and the connection of Airflow's section ``[airloom]``.

    Raises
    ------
    SystemExit
        With the command's exit code.
    """
    from airloom.cli.main import main
    from airloom.errors import AirloomError
    from airloom.operators.connection import variables_of_connection
    from airloom.operators.runs import airflow_settings
    from airloom.runtime.surroundings import variables
    from airloom.settings import variable

    try:
        settings = airflow_settings()
        said = {variable(item.name): str(getattr(settings, item.name)) for item in fields(settings)}
        said |= variables_of_connection(settings)
    except AirloomError as error:
        sys.exit(str(error))
    with variables(said):
        code = main(given.arguments or ["--help"])
    sys.exit(code)
