# expect: self.held
# expect: generator
# expect: cannot be saved
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = (n for n in range(3))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
