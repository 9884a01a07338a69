# expect: size
# expect: xl
# run: --size xl
from typing import Literal

from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    size = Parameter("size", type=Literal["s", "l"], default="s")

    @step
    def start(self):
        print(self.size)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
