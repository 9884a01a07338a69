# expect: the step 'start' changes the parameter 'alpha', which is read-only
# expect: keep the new value under another name
# line: 13
from airloom import FlowSpec, Parameter, step


class Bad(FlowSpec):
    alpha = Parameter("alpha", default=1)

    @step
    def start(self):
        if self.alpha > 1:
            self.alpha = 1
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
