from airloom import FlowSpec, step


class EmptyForeachFlow(FlowSpec):
    """A foreach over nothing goes on with its join; so does an inner one for one item only."""

    @step
    def start(self):
        self.nothing = []
        self.next(self.never, foreach="nothing", allow_empty=True)

    @step
    def never(self):
        raise AssertionError("it has no items")
        self.next(self.join)

    @step
    def join(self, inputs):
        assert len(inputs) == 0
        self.count = len(list(inputs))
        self.widths = [0, 2]
        self.next(self.spread, foreach="widths")

    @step
    def spread(self):
        self.inner = list(range(self.input))
        self.next(self.cell, foreach="inner", allow_empty=True)

    @step
    def cell(self):
        self.value = self.input + 1
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.total = sum(i.value for i in inputs)
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.totals = [i.total for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.totals == [0, 3]


if __name__ == "__main__":
    EmptyForeachFlow()
