# expect: iterates over self.rows, which is not set
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [1, 2]
        delattr(self, "rows")
        self.next(self.work, foreach="rows")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
