# expect: @ecs: the step runs on batch already
# line: 7
from airloom import FlowSpec, batch, ecs, step


class Bad(FlowSpec):
    @ecs(cpu=1)
    @batch(cpu=1)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
