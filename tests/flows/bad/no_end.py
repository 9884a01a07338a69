# expect: the flow Bad has no last step, and 'finish' does not say what comes next
# expect: @step(end=True)
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.finish)

    @step
    def finish(self):
        pass


if __name__ == "__main__":
    Bad()
