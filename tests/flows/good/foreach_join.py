from airloom import FlowSpec, Parameter, current, step


class ForeachFlow(FlowSpec):
    """Squares, side by side, then their sum."""

    count = Parameter("count", default=5, help="how many squares")
    OFFSET = 10

    @step
    def start(self):
        self.numbers = list(range(self.count))
        self.shared = {"who": "start"}
        self.next(self.square, foreach="numbers")

    @step
    def square(self):
        self.result = self.input**2 + self.OFFSET
        self.place = (self.index, self.foreach_stack(), current.task_id)
        self.next(self.note)

    @step
    def note(self):
        self.text = f"{self.input} -> {self.result}"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.results = [item.result for item in inputs]
        self.texts = [item.text for item in inputs]
        self.merge_artifacts(inputs, include=["shared", "numbers"])
        self.next(self.end)

    @step
    def end(self):
        self.total = sum(self.results)
        print(self.total)


if __name__ == "__main__":
    ForeachFlow()
