from airloom import FlowSpec, step


class BranchAndForeachFlow(FlowSpec):
    """A branch inside of a foreach, beside a foreach inside of a branch."""

    @step
    def start(self):
        self.next(self.many, self.one)

    @step
    def one(self):
        self.value = "one"
        self.next(self.join)

    @step
    def many(self):
        self.items = ["p", "q"]
        self.next(self.fork, foreach="items")

    @step
    def fork(self):
        self.item = self.input
        self.next(self.loud, self.quiet)

    @step
    def loud(self):
        self.said = self.input.upper()
        self.next(self.meet)

    @step
    def quiet(self):
        self.said = self.input + "..."
        self.next(self.hush)

    @step
    def hush(self):
        self.said += str(self.index)
        self.next(self.meet)

    @step
    def meet(self, inputs):
        assert self.input == inputs.loud.item
        self.said = [inputs.loud.said, inputs.hush.said]
        self.merge_artifacts(inputs, include=["item"])
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.value = {i.item: i.said for i in inputs}
        self.next(self.join)

    @step
    def join(self, inputs):
        self.values = [i.value for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert self.values == [{"p": ["P", "p...0"], "q": ["Q", "q...1"]}, "one"]


if __name__ == "__main__":
    BranchAndForeachFlow()
