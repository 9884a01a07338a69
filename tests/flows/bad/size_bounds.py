# expect: memory=4096 is above max_memory=2048
# line: 7
from airloom import FlowSpec, resources, step


class Bad(FlowSpec):
    @resources(memory=4096, max_memory=2048)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
