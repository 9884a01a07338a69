"""What a step prints is shown live and kept: every byte, on the stream that it was written to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from airloom.runtime.logs import parse
from airloom.store.datastore import TaskKey

if TYPE_CHECKING:
    from tests.runtime.conftest import Project


def printing(project: Project, body: str) -> None:
    lines = "\n    ".join(body.strip().splitlines())
    project.write(
        f"@step\ndef start(self):\n    {lines}\n    self.next(self.end)\n\n@step\ndef end(self):\n    pass\n"
    )


def kept(project: Project) -> bytes:
    return project.datastore.log(TaskKey("MyFlow", project.latest.id, "start", "0"), 0)


def test_both_streams_are_shown_and_kept_apart(project: Project) -> None:
    printing(project, "print('to the left')\nprint('to the right', file=sys.stderr)")
    done = project.run()
    assert "[start/0] to the left\n" in done.stdout
    assert "[start/0] to the right\n" in done.stderr
    task = project.latest["start"]["0"]
    assert (task.stdout, task.stderr) == ("to the left\n", "to the right\n")


def test_lines_are_shown_while_the_step_runs(project: Project) -> None:
    printing(project, "print('now')\nwhile not (HERE / 'seen').exists():\n    time.sleep(0.01)")
    process = project.start("run")
    assert process.stdout is not None
    with process:
        for line in process.stdout:
            if line.endswith(b"[start/0] now\n"):
                (project.folder / "seen").touch()
    assert process.returncode == 0


def test_last_lines_without_an_end_are_not_lost(project: Project) -> None:
    printing(project, "print('left open', end='')\nsys.stderr.write('this one, too')")
    done = project.run()
    assert "[start/0] left open\n" in done.stdout
    assert "[start/0] this one, too\n" in done.stderr
    assert project.latest["start"]["0"].stdout == "left open\n"


@pytest.mark.parametrize("lines", [1, 100_000])
def test_ten_megabytes_of_output_arrive_whole(project: Project, lines: int) -> None:
    printing(project, f"text = 'x' * {10_000_000 // lines}\nfor _ in range({lines}):\n    print(text)")
    done = project.run()
    assert done.stdout.count("x") == 10_000_000
    texts = [line.text for line in parse(kept(project))]
    assert len(texts) == lines
    assert sum(map(len, texts)) == 10_000_000


def test_bytes_that_are_no_text_break_nothing(project: Project) -> None:
    printing(
        project,
        "os.write(1, bytes(range(256)) * 100 + b'\\n')\nos.write(2, b'\\xff\\xfe\\n')\nprint('after')",
    )
    done = project.run()
    assert "after" in done.stdout
    lines = kept(project)
    for byte in range(256):
        assert bytes([byte]) in lines


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_any_text_is_shown_on_any_terminal(project: Project, encoding: str) -> None:
    printing(project, "os.write(1, 'Grüße, 世界 🐧\\n'.encode())")
    project.run(env={"PYTHONIOENCODING": encoding})
    assert project.latest["start"]["0"].stdout == "Grüße, 世界 🐧\n"


def test_a_sign_cut_in_two_by_a_pipe_is_whole_again(project: Project) -> None:
    printing(project, "os.write(1, b'gr\\xc3')\ntime.sleep(0.1)\nos.write(1, b'\\xbcn\\n')")
    assert "[start/0] grün\n" in project.run().stdout
    assert project.latest["start"]["0"].stdout == "grün\n"


def test_output_of_subprocesses_and_of_c_code_is_kept(project: Project) -> None:
    printing(
        project,
        """
subprocess.run(["sh", "-c", "echo from a shell; echo and its trouble >&2"], check=True)
import ctypes
libc = ctypes.CDLL(None)
libc.puts(b"from C")
libc.fflush(None)
""",
    )
    project.run()
    task = project.latest["start"]["0"]
    assert task.stdout == "from a shell\nfrom C\n"
    assert task.stderr == "and its trouble\n"


def test_a_step_cannot_wait_for_the_terminal(project: Project) -> None:
    printing(project, "self.read = sys.stdin.read()")
    project.run(input=b"typed by someone")
    assert project.value("start", "read") == ""


def test_what_the_file_prints_while_it_is_imported_is_no_tasks_output(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # else nothing waits in a buffer
    printing(project, "pass")
    project.file.write_text("print('imported')\n" + project.file.read_text())
    project.run()
    assert project.latest["start"]["0"].stdout == ""


def test_lines_have_their_times_in_order(project: Project) -> None:
    printing(project, "print(1)\ntime.sleep(0.05)\nprint(2)")
    project.run()
    (first, _), (second, _) = project.latest["start"]["0"].loglines("stdout")
    assert first < second


Eventually = Callable[[Callable[[], Any]], Any]


def on_terminal(project: Project, *arguments: str) -> tuple[int, str]:
    """Run the flow with a terminal of 100 columns as its output; give the exit code and what it showed."""
    import fcntl
    import os
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = project.start(*arguments, stdout=theirs, stderr=theirs, env={"TERM": "xterm-256color"})
    os.close(theirs)
    shown = bytearray()
    try:
        while data := os.read(ours, 1 << 16):
            shown += data
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    return process.wait(20), shown.decode()


HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def test_on_a_terminal_a_live_line_comes_and_goes(project: Project) -> None:
    printing(project, "print('a' * 150)\ntime.sleep(0.4)")
    code, shown = on_terminal(project, "run")
    assert code == 0
    assert "0 done, 1 running: start/0" in shown
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    after = shown.rpartition(SHOW)[2]
    assert "succeeded after" in after
    assert "running" not in after
    assert "a" * 150 in shown  # a line of the user's is not broken


def test_the_cursor_is_back_after_a_failure_and_after_ctrl_c(project: Project) -> None:
    printing(project, "raise ValueError('oh')")
    code, shown = on_terminal(project, "run")
    assert code == 1
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    printing(project, "os.kill(int(os.environ['RUN_PID']), signal.SIGINT)\ntime.sleep(60)")
    text = project.file.read_text()
    project.file.write_text(
        text.replace("HERE =", "os.environ.setdefault('RUN_PID', str(os.getpid()))\nHERE =")
    )
    code, shown = on_terminal(project, "run")
    assert code == 130
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    assert "stopped." in shown


def test_piped_lines_are_plain(project: Project) -> None:
    printing(project, "print('hello')")
    done = project.run()
    assert "\x1b" not in done.stdout + done.stderr
    assert "running:" not in done.stdout


def test_bytes_that_are_no_text_break_no_terminal(project: Project) -> None:
    printing(project, "os.write(1, b'\\xff[bold]\\xfe\\n')")
    code, shown = on_terminal(project, "run")
    assert code == 0
    assert "[bold]" in shown


def test_the_output_can_be_closed_from_the_start(project: Project) -> None:
    printing(project, "print('hello')")
    with project.start("run", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert project.latest["start"]["0"].stdout == "hello\n"
