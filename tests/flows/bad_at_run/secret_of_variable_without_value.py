# expect: AIRFLOW_VAR_BAD_AT_RUN, which is not set
from airloom import FlowSpec, secrets, step


class Bad(FlowSpec):
    @secrets(sources=["airflow-variable:bad_at_run"])
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
