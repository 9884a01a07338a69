# expect: @retry: times=-1 is refused
# line: 7
from airloom import FlowSpec, retry, step


class Bad(FlowSpec):
    @retry(times=-1)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
