import socket, time
from airloom import FlowSpec, step, parallel, current
class GangFlow(FlowSpec):
    @step
    def start(self):
        self.next(self.work, num_parallel=5)
    @parallel
    @step
    def work(self):
        import tempfile, pathlib
        d = pathlib.Path(tempfile.gettempdir()) / f"gang-{current.run_id.replace(':','_').replace('+','_')}"
        d.mkdir(exist_ok=True); (d / str(current.parallel.node_index)).touch()
        end = time.time() + 20
        while len(list(d.iterdir())) < current.parallel.num_nodes:
            assert time.time() < end, "the others do not come"
            time.sleep(0.02)
        self.n = current.parallel.node_index
        self.next(self.join)
    @step
    def join(self, inputs):
        self.ns = [i.n for i in inputs]
        self.next(self.end)
    @step
    def end(self):
        assert self.ns == [0, 1, 2, 3, 4]
if __name__ == "__main__":
    GangFlow()
