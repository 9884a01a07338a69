# expect: the step 'start' does not say what comes next
# expect: self.next(self.a, foreach='xs')
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.x = 1

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
