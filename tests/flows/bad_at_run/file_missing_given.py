# expect: nowhere.csv
# expect: parameter 'table'
# run: --table nowhere.csv
from airloom import FlowSpec, IncludeFile, step


class Bad(FlowSpec):
    table = IncludeFile("table")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
