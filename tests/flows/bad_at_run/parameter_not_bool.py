# expect: size
# expect: perhaps
# run: --size perhaps
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", default=False)

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
