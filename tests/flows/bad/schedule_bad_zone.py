# expect: @schedule: timezone='Mars/Olympus' is not known
# line: 6
from airloom import FlowSpec, schedule, step


@schedule(daily=True, timezone="Mars/Olympus")
class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
