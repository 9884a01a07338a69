# expect: the parameter 'size' cannot be deleted: flow level attributes and parameters are read-only
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", default=3)

    @step
    def start(self):
        delattr(self, "size")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
