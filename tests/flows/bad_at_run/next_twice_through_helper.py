# expect: self.next() was called twice
# expect: call it once
from airloom import FlowSpec, step


class Bad(FlowSpec):
    def leave(self):
        self.next(self.end)

    @step
    def start(self):
        self.leave()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
