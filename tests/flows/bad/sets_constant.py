# expect: the step 'start' changes 'rounds', which is read-only: it stands in the class
# line: 11
from airloom import FlowSpec, step


class Bad(FlowSpec):
    rounds = 3

    @step
    def start(self):
        self.rounds += 1
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
