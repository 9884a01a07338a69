# expect: self.held of type _io.TextIOWrapper cannot be saved
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = open("notes.txt", "w")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
