# expect: iterates over self.rows, which is not set
# expect: set self.rows before self.next()
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        for name, value in {"row": [1, 2]}.items():
            setattr(self, name, value)
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
