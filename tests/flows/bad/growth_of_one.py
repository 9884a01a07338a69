# expect: @resources: growth=1 does not make memory grow
# line: 7
from airloom import FlowSpec, resources, step


class Bad(FlowSpec):
    @resources(memory=100, growth=1)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
