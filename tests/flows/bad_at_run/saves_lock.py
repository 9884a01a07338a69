# expect: self.held of type _thread.lock cannot be saved
import threading

from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = threading.Lock()
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
