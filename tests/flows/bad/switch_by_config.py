# expect: the switch has the case self.config.key, and the flow has no config 'config'
# line: 10
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.xs = [1]
        self.next({self.config.key: self.end, "b": self.end}, condition="xs")

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
