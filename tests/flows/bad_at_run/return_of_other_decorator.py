# expect: the step 'start' ended without self.next()
import functools

from airloom import FlowSpec, step


def skipping(function):
    @functools.wraps(function)
    def around(self):
        return None

    return around


class Bad(FlowSpec):
    @skipping
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
