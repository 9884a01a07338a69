# expect: @schedule: cron='every day' is not a cron line
# expect: write five fields
# line: 7
from airloom import FlowSpec, schedule, step


@schedule(cron="every day")
class Bad(FlowSpec):
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
