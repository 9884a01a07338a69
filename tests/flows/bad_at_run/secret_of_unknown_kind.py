# expect: no kind of source 'vault'
# expect: use one of
from airloom import FlowSpec, secrets, step


class Bad(FlowSpec):
    @secrets(sources=["vault:token"])
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
