# expect: AttributeError: Flow Bad has no attribute 'rows'
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [1]
        self.next(self.end)

    @step
    def end(self):
        delattr(self, "rows")
        print(self.rows)


if __name__ == "__main__":
    Bad()
