# expect: @catch: var='my failure' cannot name an artifact
# line: 7
from airloom import FlowSpec, catch, step


class Bad(FlowSpec):
    @catch(var="my failure")
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
