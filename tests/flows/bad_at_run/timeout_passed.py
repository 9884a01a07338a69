# expect: the step took longer than its @timeout of 1 s
import time

from airloom import FlowSpec, step, timeout


class Bad(FlowSpec):
    @timeout(seconds=1)
    @step
    def start(self):
        time.sleep(5)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
