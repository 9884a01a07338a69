# expect: the variable HOME of inline
# expect: allow_override=True
from airloom import FlowSpec, secrets, step


class Bad(FlowSpec):
    @secrets(sources=[{"type": "inline", "options": {"env_vars": {"HOME": "elsewhere"}}}])
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
