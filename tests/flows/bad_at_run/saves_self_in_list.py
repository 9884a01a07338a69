# expect: a flow cannot be saved
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = [self]
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
