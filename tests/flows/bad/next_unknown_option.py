# expect: self.next() has no option 'for_each'
# expect: did you mean 'foreach'?
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next(self.end, for_each="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
