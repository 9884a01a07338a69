# expect: the step 'start' is async
# expect: asyncio.run
# line: 9
from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    async def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
