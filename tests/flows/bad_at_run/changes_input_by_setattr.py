# expect: AttributeError: self.input cannot be changed: it is part of every flow
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        setattr(self, "input", 4)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
