# expect: the step 'start' takes no self
# line: 8
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start():
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
