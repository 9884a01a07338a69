# expect: stands inside a with block
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        with open("x"):
            self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
