from pathlib import Path

from airloom import FlowSpec, Parameter, current, step


class FactsOfCurrentFlow(FlowSpec):
    """What `current` says alike wherever the flow runs."""

    alpha = Parameter("alpha", default=1)
    beta = Parameter("with-dash", default=2)

    @step
    def start(self):
        assert current.is_running_flow
        assert current.run_id and current.run_id in current.pathspec
        assert current.pathspec == f"FactsOfCurrentFlow/{current.run_id}/start/0"
        assert current.username
        self.facts = {
            "flow_name": current.flow_name,
            "step_name": current.step_name,
            "task_id": current.task_id,
            "retry_count": current.retry_count,
            "origin_run_id": current.origin_run_id,
            "parameter_names": current.parameter_names,
            "missing": current.get("no_such", "default"),
            "steps": [s.name for s in current.graph.steps],
        }
        scratch = Path(current.tempdir, "scratch")
        scratch.write_text("x")
        self.items = ["a", "b"]
        self.next(self.each, foreach="items")

    @step
    def each(self):
        self.place = (current.step_name, current.task_id, self.index, current.pathspec.rpartition("/")[2])
        self.next(self.join)

    @step
    def join(self, inputs):
        self.places = [i.place for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.places == [("each", "0", 0, "0"), ("each", "1", 1, "1")]
        assert "no_such" not in current


if __name__ == "__main__":
    FactsOfCurrentFlow()
