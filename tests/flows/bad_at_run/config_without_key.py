# expect: sise
from airloom import Config, FlowSpec, step


class Bad(FlowSpec):
    cfg = Config("cfg", default_value={"size": 3})

    @step
    def start(self):
        print(self.cfg.sise)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
