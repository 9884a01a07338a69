# expect: cannot be changed
from airloom import Config, FlowSpec, step


class Bad(FlowSpec):
    cfg = Config("cfg", default_value={"size": 3})

    @step
    def start(self):
        self.cfg["size"] = 4
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
