# expect: size
# expect: 31.1.2026
# run: --size 31.1.2026
from datetime import date

from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=date, default="2026-01-31")

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
