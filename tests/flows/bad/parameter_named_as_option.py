# expect: parameter 'max_workers': the command line has an option of that name
# line: 7
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    max_workers = Parameter("max_workers", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
