# expect: num_parallel
from airloom import FlowSpec, Parameter, parallel, step


class Bad(FlowSpec):
    nodes = Parameter("nodes", default="four")

    @step
    def start(self):
        self.next(self.work, num_parallel=self.nodes)

    @parallel
    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
