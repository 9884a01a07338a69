# expect: self.next() is not the last statement of the step 'start'
# expect: move what follows it in front of it
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)
        self.x = 1

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
