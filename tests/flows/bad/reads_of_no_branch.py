# expect: the join 'join' reads 'scores' of its inputs, which no branch sets
# line: 19
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [1]
        self.next(self.fit, foreach="rows")

    @step
    def fit(self):
        self.score = self.input
        self.next(self.join)

    @step
    def join(self, inputs):
        self.best = max(i.scores for i in inputs)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
