# expect: nowhere.csv
# expect: parameter 'table'
from airloom import FlowSpec, IncludeFile, step


class Bad(FlowSpec):
    table = IncludeFile("table", default="nowhere.csv")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
