# expect: parameter 'size'
# expect: JSON
# run: --size {a}
from airloom import FlowSpec, JSONType, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=JSONType)

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
