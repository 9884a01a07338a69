# expect: AttributeError: self.end cannot be changed: it is a step
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        setattr(self, "end", 5)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
