from airloom import FlowSpec, step


class RoundsFlow(FlowSpec):
    """A step that leads back to itself until it is content; one in a foreach as well."""

    @step
    def start(self):
        self.number = 1
        self.trail = []
        self.next(self.double)

    @step
    def double(self):
        self.number *= 2
        self.trail.append(self.number)
        self.more = "again" if self.number < 8 else "enough"
        self.next({"again": self.double, "enough": self.spread}, condition="more")

    @step
    def spread(self):
        assert self.trail == [2, 4, 8]
        self.items = [1, 3]
        self.next(self.count, foreach="items")

    @step
    def count(self):
        self.counted = getattr(self, "counted", 0) + 1
        self.done = self.counted >= self.input
        self.next({False: self.count, True: self.told}, condition="done")

    @step
    def told(self):
        self.said = f"{self.input}: {self.counted}"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.said = [i.said for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.said == ["1: 1", "3: 3"]


if __name__ == "__main__":
    RoundsFlow()
