# expect: the step 'b' is a function called 'a'
# expect: functools.wraps
# line: 12
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.b)

    @step
    def a(self):
        self.next(self.end)

    b = a

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
