# expect: 2 MiB is less than the 4 MiB that a container needs at least
# line: 7
from airloom import FlowSpec, batch, step


class Bad(FlowSpec):
    @batch(memory=2)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
