"""The smallest flow that does something: two steps and one artifact."""

from airloom import FlowSpec, step


class HelloFlow(FlowSpec):
    """Say hello."""

    @step
    def start(self):
        """Set an artifact."""
        self.message = "hello from Airloom"
        self.next(self.end)

    @step
    def end(self):
        """Read it again."""
        print(self.message)


if __name__ == "__main__":
    HelloFlow()
