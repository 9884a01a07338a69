# expect: parameter 'size'
# expect: its default raised ZeroDivisionError
from airloom import FlowSpec, Parameter, step


def size_of(context):
    return 1 // 0


class Bad(FlowSpec):
    size = Parameter("size", type=int, default=size_of)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
