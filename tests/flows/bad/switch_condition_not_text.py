# expect: condition=self.xs does not name an artifact
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next({"a": self.end, "b": self.end}, condition=self.xs)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
