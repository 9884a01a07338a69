# expect: parameter 'table'
from airloom import FlowSpec, IncludeFile, step


HERE = __file__


class Bad(FlowSpec):
    table = IncludeFile("table", default=HERE, encoding="ascii")

    @step
    def start(self):
        print(self.table)  # grün
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
