"""What OpenLineage is told about a step: the attempt as a facet of the run, artifacts as datasets.

Nothing here runs unless Airflow's OpenLineage provider is installed and has somewhere to send to. It
sends from a forked child, where a remote store cannot be asked: what it needs is read before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airloom.names import Pathspec
from airloom.version import __version__

if TYPE_CHECKING:
    from airloom.plan import Plan
    from airloom.store.datastore import Datastore, TaskKey
    from airloom.store.records import ArtifactRecord

PROVIDER = "airflow.providers.openlineage"

_MOST = 100
"""Tasks of a range whose artifacts are told."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an artifact: whose it is, and its record."""

    key: TaskKey
    attempt: int
    name: str
    record: ArtifactRecord


@dataclass(slots=True)
class Told:
    """What there is to tell about one try of an Airflow task."""

    root: str
    run: str
    plan: str
    code: str
    attempts: list[str] = field(default_factory=list)
    inputs: list[Version] = field(default_factory=list)
    outputs: list[Version] = field(default_factory=list)


def collect(datastore: Datastore, plan: Plan, run: str, keys: Iterable[TaskKey]) -> Told | None:
    """Read what the tasks have left and read; None where nobody wants to know."""
    provider = sys.modules.get(PROVIDER)
    if provider is None:
        return None
    from airflow.providers.openlineage import conf  # type: ignore[import-not-found, unused-ignore]

    if conf.is_disabled():
        return None
    told = Told(datastore.root, f"{plan.flow}/{run}", plan.digest, plan.code)
    before: dict[str, list[Version]] = {}
    for key in list(keys)[:_MOST]:
        found = datastore.done_attempt(key)
        if found is None:
            continue
        attempt, done = found
        told.attempts.append(f"{key.pathspec}@{attempt}")
        known: set[str] = set()
        for parent in done.parents:
            # Of the tasks of a foreach one stands for all: their artifacts have the same names.
            step = str(Pathspec.parse(parent.partition("@")[0]).step)
            if step not in before:
                before[step] = _versions_of(datastore, parent)
            known |= {version.record.digest for version in before[step]}
        told.outputs += [
            version
            for version in _versions(key, attempt, done.artifacts)
            if version.record.digest not in known
        ]
    told.inputs = [version for versions in before.values() for version in versions]
    return told


def _versions_of(datastore: Datastore, parent: str) -> list[Version]:
    spec, _, attempt = parent.partition("@")
    flow, run, step, task = spec.split("/")
    from airloom.store.datastore import TaskKey

    key = TaskKey(flow, run, step, task)
    return _versions(key, int(attempt), datastore.done(key, int(attempt)).artifacts)


def _versions(key: TaskKey, attempt: int, artifacts: dict[str, ArtifactRecord]) -> list[Version]:
    return [
        Version(key, attempt, name, record)
        for name, record in sorted(artifacts.items())
        if not name.startswith("_")
    ]


def lineage(told: Told | None) -> Any:
    """Make an ``OperatorLineage``: datasets are named by flow, step and artifact, versions by digest."""
    from airflow.providers.openlineage.extractors import (  # type: ignore[import-not-found, unused-ignore]
        OperatorLineage,
    )

    if told is None:
        return OperatorLineage()
    from openlineage.client.event_v2 import (  # type: ignore[import-not-found, unused-ignore]
        InputDataset,
        OutputDataset,
    )
    from openlineage.client.facet_v2 import (  # type: ignore[import-not-found, unused-ignore]
        RunFacet,
        dataset_version_dataset,
        output_statistics_output_dataset,
        schema_dataset,
    )

    def facets(version: Version) -> dict[str, Any]:
        kind = schema_dataset.SchemaDatasetFacetFields(name=version.name, type=version.record.type)
        return {
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(version.record.digest),
            "schema": schema_dataset.SchemaDatasetFacet(fields=[kind]),
        }

    def size(version: Version) -> dict[str, Any]:
        statistics = output_statistics_output_dataset
        return {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(size=version.record.size)}

    run = RunFacet().with_additional_properties(
        run=told.run, plan=told.plan, code=told.code, attempts=told.attempts, version=__version__
    )
    return OperatorLineage(
        inputs=[InputDataset(_root(told), _name(one), facets=facets(one)) for one in told.inputs],
        outputs=[
            OutputDataset(_root(told), _name(one), facets=facets(one), outputFacets=size(one))
            for one in told.outputs
        ],
        run_facets={"airloom": run},
    )


def _root(told: Told) -> str:
    return told.root if "://" in told.root else f"file://{told.root}"


def _name(version: Version) -> str:
    return f"{version.key.flow}/{version.key.step}/{version.name}"
