# expect: stands inside a return
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        return self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
