# expect: parameter 'size'
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=int, default=lambda context: "three")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
