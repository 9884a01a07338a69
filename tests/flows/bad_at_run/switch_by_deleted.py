# expect: the switch decides by self.mode, which is not set
# expect: on every path to this step
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.mode = "quick"
        delattr(self, "mode")
        self.next({"quick": self.quick, "thorough": self.thorough}, condition="mode")

    @step
    def quick(self):
        self.next(self.end)

    @step
    def thorough(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
