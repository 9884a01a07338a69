# expect: self.held: a flow cannot be saved
# expect: assign the values that you need
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = self
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
