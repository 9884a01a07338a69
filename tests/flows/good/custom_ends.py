from airloom import FlowSpec, step


class CustomEndsFlow(FlowSpec):
    """Its first and last step have names of their own."""

    @step(start=True)
    def prepare(self):
        self.items = [1]
        self.next(self.dag, foreach="items")

    @step
    def dag(self):
        self.got = self.input
        self.next(self.index_)

    @step
    def index_(self, inputs):
        self.got = [i.got for i in inputs]
        self.next(self.finish)

    @step(end=True)
    def finish(self):
        assert self.got == [1]


if __name__ == "__main__":
    CustomEndsFlow()
