# expect: @schedule: more than one schedule is given
# line: 6
from airloom import FlowSpec, schedule, step


@schedule(daily=True, hourly=True)
class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
