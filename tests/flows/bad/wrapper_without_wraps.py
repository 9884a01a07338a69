# expect: the step 'start' is a function called 'inner'
# expect: functools.wraps
# line: 8
from airloom import FlowSpec, step


def loud(function):
    def inner(self):
        print(function.__name__)
        function(self)

    return inner


class Bad(FlowSpec):
    @step
    @loud
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
