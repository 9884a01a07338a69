# expect: ZeroDivisionError: division by zero
# expect: bad_at_run
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.share = 1 / int("0")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
