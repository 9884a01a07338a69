# expect: the flow goes in a circle: a -> b -> a
# expect: put what repeats into one step
# line: 18
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.a)

    @step
    def a(self):
        self.next(self.b)

    @step
    def b(self):
        self.next({1: self.a, 2: self.end}, condition="again")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
