# expect: 16 vCPU with 200000 MiB is more than Fargate offers on ecs: 16 vCPU with 122880 MiB at most
# line: 7
from airloom import FlowSpec, ecs, step


class Bad(FlowSpec):
    @ecs(launch_type="FARGATE", cpu=16, memory=200000)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
