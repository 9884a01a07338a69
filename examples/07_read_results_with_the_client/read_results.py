"""Read what runs left behind: first run 04_penguins, then this script in the same folder."""

from airloom import Flow, Task

run = Flow("PenguinsFlow").latest_successful_run
if run is None:
    raise SystemExit("PenguinsFlow has no successful run here: run examples/04_penguins first")

print(f"{run.pathspec}, started by {run.user}, min-rows {run.parameters['min-rows']}")
print(f"best: {run.data.best}")

for task in run["judge"]:
    print(f"  {task.pathspec}: off by {task.data.error_g:.0f} g, took {task.usage.wall_s:.2f} s")

# An artifact knows its size, type and digest without being loaded.
fits = run["compare"].task["fits"]
print(f"fits: {fits.type}, {fits.size} bytes, {fits.sha[:11]}")

# Which attempts did the join read?
for pathspec in run["compare"].task.parent_pathspecs:
    print(f"  compare read {pathspec}: {Task(pathspec).stdout.strip()}")
