from airloom import FlowSpec, step


class NestedForeachFlow(FlowSpec):
    """Three levels of foreach, uneven, with a join for each."""

    @step
    def start(self):
        self.regions = {"north": {"n1": 1, "n2": 2}, "south": {"s1": 1}}
        self.names = sorted(self.regions)
        self.next(self.region, foreach="names")

    @step
    def region(self):
        self.region_name = self.input
        self.shops = sorted(self.regions[self.input])
        self.next(self.shop, foreach="shops")

    @step
    def shop(self):
        assert [frame.value for frame in self.foreach_stack()] == [self.region_name, self.input]
        self.shop_name = self.input
        self.tills = list(range(self.regions[self.region_name][self.input]))
        self.next(self.till, foreach="tills")

    @step
    def till(self):
        self.where = [tuple(frame) for frame in self.foreach_stack()]
        self.label = f"{self.region_name}/{self.shop_name}/{self.input}"
        self.next(self.check)

    @step
    def check(self):
        assert self.label.endswith(f"/{self.input}")
        self.checked = (self.index, self.label)
        self.next(self.join_tills)

    @step
    def join_tills(self, inputs):
        assert self.input == inputs[0].shop_name
        self.labels = [i.label for i in inputs]
        self.stack = [tuple(frame) for frame in self.foreach_stack()]
        self.places = [i.where for i in inputs]
        self.merge_artifacts(inputs, include=["region_name"])
        self.next(self.after_shop)

    @step
    def after_shop(self):
        self.labels = [*self.labels, f"end of {self.input}"]
        self.next(self.join_shops)

    @step
    def join_shops(self, inputs):
        assert self.input == inputs[0].region_name
        self.labels = [i.labels for i in inputs]
        self.stack = [tuple(frame) for frame in self.foreach_stack()]
        self.next(self.join_regions)

    @step
    def join_regions(self, inputs):
        self.labels = [i.labels for i in inputs]
        self.stack = self.foreach_stack()
        self.next(self.end)

    @step
    def end(self):
        assert self.labels == [
            [["north/n1/0", "end of n1"], ["north/n2/0", "north/n2/1", "end of n2"]],
            [["south/s1/0", "end of s1"]],
        ]
        assert self.stack == []


if __name__ == "__main__":
    NestedForeachFlow()
