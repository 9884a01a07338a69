from airloom import Parameter, step
from base_of_flows import BaseOfFlows


class InheritedFlow(BaseOfFlows):
    """Its first and last step stand in another file."""

    extra = Parameter("extra", default="more")
    KIND = "special"

    @step
    def middle(self):
        self.doubled = self.size * 2
        self.next(self.end)

    def summary(self):
        assert self.begun == (2, "base", "special")
        return [self.doubled, self.extra]


if __name__ == "__main__":
    InheritedFlow()
