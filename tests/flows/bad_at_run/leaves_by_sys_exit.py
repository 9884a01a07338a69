# expect: raised SystemExit: 3
import sys

from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        sys.exit(3)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
