# expect: @secrets: the source env:TOKEN is read with no role
# line: 7
from airloom import FlowSpec, secrets, step


class Bad(FlowSpec):
    @secrets(sources=["env:TOKEN"], role="arn:aws:iam::123456789012:role/reader")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
