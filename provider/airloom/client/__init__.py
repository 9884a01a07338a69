"""Read what runs left behind, by pathspec: `Airloom`, `Flow`, `Run`, `Step`, `Task`, `DataArtifact`.

The objects, attributes and meanings are Metaflow's. The differences:

- times are aware and in UTC;
- the steps of a run come in the plan's topological order, runs the newest first, tasks by index;
- a task stands for its highest committed attempt, as for every step that reads it. Only while
  none is committed it stands for the newest one that was begun. ``Task(..., attempt=n)`` is exact;
- ``in`` says what a lookup would find: a run outside of the namespace is not in its flow;
- no service is asked: everything comes from the datastore that `airloom.settings` names, that
  `datastore` chooses, or that the argument ``datastore=`` gives and children inherit.
"""

from __future__ import annotations

from airloom.client.artifacts import DataArtifact, TaskArtifacts, TaskData
from airloom.client.code import Code
from airloom.client.flows import Airloom, Flow
from airloom.client.namespaces import default_namespace, get_namespace, namespace
from airloom.client.runs import Run
from airloom.client.steps import Step
from airloom.client.stores import datastore
from airloom.client.tasks import Task

Metaflow = Airloom

__all__ = [
    "Airloom",
    "Code",
    "DataArtifact",
    "Flow",
    "Metaflow",
    "Run",
    "Step",
    "Task",
    "TaskArtifacts",
    "TaskData",
    "datastore",
    "default_namespace",
    "get_namespace",
    "namespace",
]
