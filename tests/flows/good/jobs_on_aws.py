# Without the last lines of a flow: tests that run all of these have no AWS.
from airloom import FlowSpec, Parameter, batch, ecs, resources, retry, step


class JobsOnAwsFlow(FlowSpec):
    """Texts are counted on AWS Batch, side by side; ECS reports the longest."""

    words = Parameter("words", default=3, help="how many words the longest text has")

    @step
    def start(self):
        self.texts = ["word " * count for count in range(1, self.words + 1)]
        self.next(self.count, foreach="texts")

    @retry(times=2)
    @resources(cpu=2, memory=lambda flow: 512 + len(flow.input), max_memory=16384)
    @batch(queue="on-demand", spot_queue="spot", image="registry.example.com/words:7", start_timeout=1800)
    @step
    def count(self):
        """Count the words of one text."""
        self.number = len(self.input.split())
        self.next(self.check)

    @step
    def check(self):
        assert self.number > 0
        self.next(self.join)

    @resources(memory="auto", min_memory=256)
    @ecs(cpu=1, cluster="reports", launch_type="FARGATE", subnets=["subnet-1", "subnet-2"])
    @step
    def join(self, inputs):
        """Find the longest."""
        self.most = max(one.number for one in inputs)
        self.next(self.report)

    @batch(memory=512)
    @step
    def report(self):
        self.line = f"the longest of the texts has {self.most} words"
        self.next(self.end)

    @step
    def end(self):
        assert self.most == self.words
