# expect: no path leads from 'start' to the step 'lost'
# expect: name it in the self.next()
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def lost(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
