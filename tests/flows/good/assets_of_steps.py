from airloom import FlowSpec, assets, step


class AssetsFlow(FlowSpec):
    """Steps say which assets of Airflow they read and write."""

    @assets(inlets=["s3://lake/raw orders", "calendar"])
    @step
    def start(self):
        self.months = [1, 2]
        self.next(self.month, foreach="months")

    @assets(outlets="s3://lake/orders")
    @step
    def month(self):
        self.rows = self.input * 10
        self.next(self.join)

    @step
    def join(self, inputs):
        self.rows = sum(one.rows for one in inputs)
        self.next(self.end)

    @assets(inlets="s3://lake/orders", outlets=["report"])
    @step
    def end(self):
        print(self.rows)


if __name__ == "__main__":
    AssetsFlow()
