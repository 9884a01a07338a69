from airloom import FlowSpec, step


class ForeachInForeachFlow(FlowSpec):
    """Two levels, the inner foreach directly in the outer; the inner join branches before the outer one."""

    @step
    def start(self):
        self.outer = ["a", "b"]
        self.next(self.spread, foreach="outer")

    @step
    def spread(self):
        self.letter = self.input
        self.inner = [1, 2]
        self.next(self.cell, foreach="inner")

    @step
    def cell(self):
        self.text = f"{self.letter}{self.input}"
        self.next(self.inner_join)

    @step
    def inner_join(self, inputs):
        self.texts = [i.text for i in inputs]
        self.next(self.upper, self.lower)

    @step
    def upper(self):
        self.made = [text.upper() for text in self.texts]
        self.next(self.both)

    @step
    def lower(self):
        self.made = [text.lower() for text in self.texts]
        self.next(self.both)

    @step
    def both(self, inputs):
        self.made = [inputs.upper.made, inputs.lower.made]
        self.letter = self.input
        self.next(self.outer_join)

    @step
    def outer_join(self, inputs):
        self.result = {i.letter: i.made for i in inputs}
        self.next(self.end)

    @step
    def end(self):
        assert self.result == {"a": [["A1", "A2"], ["a1", "a2"]], "b": [["B1", "B2"], ["b1", "b2"]]}


if __name__ == "__main__":
    ForeachInForeachFlow()
