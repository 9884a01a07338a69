# expect: parameter 'size'
# expect: its default raised TypeError
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=int, default=lambda: 3)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
