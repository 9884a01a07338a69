from airloom import FlowSpec, current, parallel, step


class GangFlow(FlowSpec):
    """Tasks that know how many they are."""

    @step
    def start(self):
        self.whole = 10
        self.next(self.work, num_parallel=3)

    @parallel
    @step
    def work(self):
        node = current.parallel
        self.part = [n for n in range(self.whole) if n % node.num_nodes == node.node_index]
        self.next(self.join)

    @step
    def join(self, inputs):
        self.parts = [i.part for i in inputs]
        self.next(self.end)

    @step
    def end(self):
        assert sorted(sum(self.parts, [])) == list(range(10))


if __name__ == "__main__":
    GangFlow()
