# expect: the config 'sizes' cannot be deleted
from airloom import Config, FlowSpec, step


class Bad(FlowSpec):
    sizes = Config("sizes", default_value={"a": 1})

    @step
    def start(self):
        delattr(self, "sizes")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
