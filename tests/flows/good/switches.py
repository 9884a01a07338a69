from airloom import FlowSpec, Parameter, step


class SwitchesFlow(FlowSpec):
    """A switch by a parameter, by a number, by truth, and one in a branch."""

    mode = Parameter("mode", default="long")

    @step
    def start(self):
        self.path = ["start"]
        self.next({"long": self.long_way, "short": self.short_way, "no": self.meet}, condition="mode")

    @step
    def long_way(self):
        self.path.append("long_way")
        self.next(self.longer)

    @step
    def longer(self):
        self.path.append("longer")
        self.count = 2
        self.next({1: self.meet, 2: self.detour}, condition="count")

    @step
    def detour(self):
        self.path.append("detour")
        self.next(self.meet)

    @step
    def short_way(self):
        self.path.append("short_way")
        self.next(self.meet)

    @step
    def meet(self):
        self.path.append("meet")
        self.next(self.left, self.right)

    @step
    def left(self):
        self.ready = len(self.path) > 3
        self.next({True: self.yes, False: self.no}, condition="ready")

    @step
    def yes(self):
        self.answer = "yes"
        self.next(self.told)

    @step
    def no(self):
        self.answer = "no"
        self.next(self.told)

    @step
    def told(self):
        self.said = f"told {self.answer}"
        self.next(self.join)

    @step
    def right(self):
        self.said = "right"
        self.next(self.join)

    @step
    def join(self, inputs):
        self.said = [i.said for i in inputs]
        self.merge_artifacts(inputs, include=["path", "answer"])
        self.next(self.end)

    @step
    def end(self):
        assert self.path == ["start", "long_way", "longer", "detour", "meet"]
        assert self.said == ["told yes", "right"]


if __name__ == "__main__":
    SwitchesFlow()
