# expect: self.held['guard'] of type _thread.lock cannot be saved
import threading

from airloom import FlowSpec, step


class Bad(FlowSpec):
    @step
    def start(self):
        self.held = {"rows": [1], "guard": threading.Lock()}
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    Bad()
