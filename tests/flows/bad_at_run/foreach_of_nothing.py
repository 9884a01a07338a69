# expect: has nothing to iterate over: self.rows is empty
# expect: allow_empty=True
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [n for n in range(10) if n > 10]
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
