# expect: the secret env:BAD_AT_RUN_TOKEN cannot be read
# expect: the environment has no such variable
from airloom import FlowSpec, secrets, step


class Bad(FlowSpec):
    @secrets(sources=["env:BAD_AT_RUN_TOKEN"])
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
