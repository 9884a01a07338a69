# expect: all cases of the switch 'a' lead to itself
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a)

    @step
    def a(self):
        self.next({1: self.a, 2: self.a}, condition="again")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
