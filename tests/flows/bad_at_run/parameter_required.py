# expect: size
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=int, required=True)

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
