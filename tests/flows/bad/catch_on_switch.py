# expect: @catch stands on 'start', which chooses by a switch
# line: 9
from airloom import FlowSpec, catch, step


class Bad(FlowSpec):
    @catch
    @step
    def start(self):
        self.x = 1
        self.next({1: self.a, 2: self.end}, condition="x")

    @step
    def a(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
