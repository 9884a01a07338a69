# expect: the step 'start' decides by self.mode, which no step sets
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.size = 3
        self.next({"big": self.big, "small": self.end}, condition="mode")

    @step
    def big(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
