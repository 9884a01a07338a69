from airloom import FlowSpec, Parameter, step


class BaseOfFlows(FlowSpec):
    """Begins and ends every flow of the team."""

    size = Parameter("size", default=2)
    TEAM = "base"
    KIND = "plain"

    @step
    def start(self):
        self.begun = (self.size, self.TEAM, self.KIND)
        self.next(self.middle)

    @step
    def end(self):
        self.closed = self.summary()

    def summary(self):
        return "nothing"
