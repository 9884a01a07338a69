# expect: self.held['notes'] of type _io.TextIOWrapper cannot be saved
# expect: save the file's path or its contents instead
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = {"notes": open(__file__)}
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
