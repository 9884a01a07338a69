# expect: self.next() of the step 'start' stands inside an if
# expect: choose with a switch
# line: 12
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.x = 1
        if self.x:
            self.next(self.a)
        else:
            self.next(self.end)

    @step
    def a(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
