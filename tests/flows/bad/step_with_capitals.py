# expect: a step cannot be called 'fitModel'
# expect: small letters a to z
# line: 13
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.fitModel)

    @step
    def fitModel(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
