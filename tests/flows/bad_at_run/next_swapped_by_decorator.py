# expect: went to end, but its source says work
import functools

from airloom import FlowSpec, step


def hurried(function):
    @functools.wraps(function)
    def around(self):
        self.next(self.end)

    return around


class Bad(FlowSpec):
    @hurried
    @step
    def start(self):
        self.next(self.work)

    @step
    def work(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
