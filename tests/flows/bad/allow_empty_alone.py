# expect: allow_empty is given without foreach
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.end, allow_empty=True)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
