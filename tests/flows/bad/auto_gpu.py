# expect: @resources: gpu='auto' is refused: only cpu and memory are learned
# line: 7
from airloom import FlowSpec, resources, step


class Bad(FlowSpec):
    @resources(gpu="auto")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
