# expect: a step cannot be called 'B'
# expect: the step 'start' leads to 'c'
# expect: @catch stands on 'B'
# line: 15
from airloom import FlowSpec, catch, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.B, self.c)

    @catch
    @step
    def B(self):
        self.next(self.end, foreach="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
