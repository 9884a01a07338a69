# expect: Bad is not a flow
# expect: subclass FlowSpec: class Bad(FlowSpec)
from airloom import step


class Bad:
    @step
    def start(self):
        pass


if __name__ == "__main__":
    Bad()
