from airloom import FlowSpec, step


class SwitchInForeachFlow(FlowSpec):
    """Each item goes its own way; one way leads through a foreach, which some items do not enter."""

    @step
    def start(self):
        self.items = [3, 4, 6]
        self.next(self.look, foreach="items")

    @step
    def look(self):
        self.number = self.input
        self.kind = "odd" if self.number % 2 else "even"
        self.next({"odd": self.odd, "even": self.even}, condition="kind")

    @step
    def odd(self):
        self.found = f"{self.input} is odd"
        self.next(self.merge)

    @step
    def even(self):
        self.halves = [self.number // 2] * (self.number // 2 - 1)
        self.next(self.half, foreach="halves")

    @step
    def half(self):
        self.piece = (self.index, self.input)
        self.next(self.halves_join)

    @step
    def halves_join(self, inputs):
        self.found = [i.piece for i in inputs]
        self.number = self.input
        self.next(self.merge)

    @step
    def merge(self):
        self.found = (self.number, self.found)
        self.next(self.join)

    @step
    def join(self, inputs):
        self.found = [i.found for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.found == [(3, "3 is odd"), (4, [(0, 2)]), (6, [(0, 3), (1, 3)])]


if __name__ == "__main__":
    SwitchInForeachFlow()
