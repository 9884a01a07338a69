# expect: the flow Bad replaces 'foreach_stack', which is part of every flow
# line: 7
from airloom import FlowSpec, step


class Bad(FlowSpec):
    def foreach_stack(self):
        return []

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
