# expect: the flow Bad has no step
# line: 6
from airloom import FlowSpec


class Bad(FlowSpec):
    def start(self):
        pass


if __name__ == "__main__":
    Bad()
