# expect: --sise
# run: --sise 4
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", default=3)

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
