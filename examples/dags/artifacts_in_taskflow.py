"""A TaskFlow DAG whose results are artifacts with versions: ``@task`` has become ``@task.artifacts``."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag, task

from airloom import DataArtifact


class Model:
    """A line through the origin; any class will do, also one of the DAG file."""

    def __init__(self, slope: float) -> None:
        self.slope = slope


@dag(schedule=None, params={"regions": ["north", "south", "west"]}, tags=["airloom", "example"])
def artifacts_in_taskflow() -> None:
    @task.artifacts
    def measure(params: dict) -> list[tuple[str, list[int]]]:
        return [(region, [place * n for n in range(100)]) for place, region in enumerate(params["regions"])]

    # Two results by name: each is an artifact of its own.
    @task.artifacts(
        outputs=("model", "error"), resources={"cpu": 1, "memory": 256}, retries=1, retry_delay=timedelta()
    )
    def fit(measured: tuple[str, list[int]]) -> tuple[Model, float]:
        region, values = measured
        print("fitting", region)
        slope = sum(n * value for n, value in enumerate(values)) / sum(n * n for n in range(len(values)))
        return Model(slope), max(abs(value - slope * n) for n, value in enumerate(values))

    # ``measured`` is not loaded: the hint asks for the artifact itself.
    @task.artifacts
    def summary(models: list[Model], measured: DataArtifact) -> dict[str, float]:
        return {"steepest": max(model.slope for model in models), "bytes": measured.size}

    # A plain task gets plain values.
    @task
    def report(numbers: dict[str, float], models: list[Model]) -> str:
        return f"{len(models)} models, the steepest has {numbers['steepest']:g}"

    measured = measure()
    fitted = fit.expand(measured=measured)
    report(summary(fitted["model"], measured), fitted["model"])


artifacts_in_taskflow()
