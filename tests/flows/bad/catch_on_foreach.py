# expect: @catch stands on 'start', which splits by foreach
# line: 9
from airloom import FlowSpec, catch, step


class Bad(FlowSpec):
    @catch(var="failure")
    @step
    def start(self):
        self.xs = [1]
        self.next(self.a, foreach="xs")

    @step
    def a(self):
        self.next(self.j)

    @step
    def j(self, inputs):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
