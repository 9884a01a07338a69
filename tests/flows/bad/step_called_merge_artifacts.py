# expect: a step cannot be called 'merge_artifacts'
# line: 12
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.merge_artifacts)

    @step
    def merge_artifacts(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
