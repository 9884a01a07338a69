# expect: @retry stands twice on the step 'start'
# line: 7
from airloom import FlowSpec, retry, step


class Bad(FlowSpec):
    @retry
    @retry
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
