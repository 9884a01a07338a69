# expect: AttributeError: self.index cannot be deleted: it is part of every flow
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        delattr(self, "index")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
