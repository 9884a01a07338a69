# expect: the switch has no case for mode = 'slow'
# expect: ['quick', 'thorough']
# run: --mode slow
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    mode = Parameter("mode", default="quick")

    @step
    def start(self):
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
