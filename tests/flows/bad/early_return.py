# expect: the step 'start' returns before its self.next()
# expect: turn the condition around
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        if not self.input:
            return
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
