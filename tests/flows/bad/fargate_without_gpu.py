# expect: Fargate has no GPUs
# line: 7
from airloom import FlowSpec, batch, step


class Bad(FlowSpec):
    @batch(platform="FARGATE", gpu=1)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
