# expect: 'SIZE' cannot be changed
from airloom import FlowSpec, step


class Bad(FlowSpec):
    SIZE = 3

    @step
    def start(self):
        setattr(self, "SIZE", 4)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
