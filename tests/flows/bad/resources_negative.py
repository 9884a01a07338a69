# expect: @resources: memory=-5 is refused
# line: 7
from airloom import FlowSpec, resources, step


class Bad(FlowSpec):
    @resources(memory=-5)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
