# expect: parameter 'size'
# expect: half
# run: --size half
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", default=0.5)

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
