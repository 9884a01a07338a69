"""Run and deploy flows from Python: `Runner`, `NBRunner`, `Deployer`.

The names and meanings are Metaflow's. A flow runs in a program of its own, as by
``python my_flow.py run``: what this process has imported does not matter to it, and a file that
was changed is read anew.
"""

from airloom.runner.deployer import DeployedFlow, Deployer, TriggeredRun
from airloom.runner.notebook import NBRunner
from airloom.runner.runs import ExecutingRun, Runner

__all__ = ["DeployedFlow", "Deployer", "ExecutingRun", "NBRunner", "Runner", "TriggeredRun"]
