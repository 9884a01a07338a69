# expect: AttributeError: Flow Bad has no attribute 'row'
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.rows = [1]
        print(getattr(self, "row"))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
