# expect: a step cannot be called '_fit'
# line: 12
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self._fit)

    @step
    def _fit(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
