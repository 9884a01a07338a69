# expect: @retry stands on 'start', which is not a step
# expect: put @step right above the function
# line: 8
from airloom import FlowSpec, retry, step


class Bad(FlowSpec):
    @step
    @retry
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
