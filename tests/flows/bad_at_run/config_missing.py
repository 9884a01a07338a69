# expect: nowhere.json
from airloom import Config, FlowSpec, step


class Bad(FlowSpec):
    cfg = Config("cfg", default="nowhere.json")

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
