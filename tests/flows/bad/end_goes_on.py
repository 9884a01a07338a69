# expect: the last step 'end' calls self.next()
# expect: take the call out
# line: 14
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        self.next(self.start)


if __name__ == "__main__":
    Bad()
