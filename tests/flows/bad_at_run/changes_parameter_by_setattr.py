# expect: 'size' cannot be changed
# expect: read-only
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", default=3)

    @step
    def start(self):
        setattr(self, "size", 4)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
