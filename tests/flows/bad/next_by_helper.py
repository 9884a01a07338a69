# expect: the step 'start' does not say what comes next
# line: 8
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        go = self.next
        go(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
