import os

from airloom import FlowSpec, environment, step


class VariablesFlow(FlowSpec):
    """Environment variables hold for their step only."""

    @environment(vars={"AIRLOOM_TEST_WORD": "hello", "AIRLOOM_TEST_NUMBER": 3})
    @step
    def start(self):
        self.word = os.environ["AIRLOOM_TEST_WORD"]
        self.number = os.environ["AIRLOOM_TEST_NUMBER"]
        self.next(self.end)

    @step
    def end(self):
        assert (self.word, self.number) == ("hello", "3")
        assert "AIRLOOM_TEST_WORD" not in os.environ


if __name__ == "__main__":
    VariablesFlow()
