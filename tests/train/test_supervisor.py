"""The training process from outside, with real processes: started, watched, ended, found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from javis.core.errors import AlreadyTraining, NotFound, TrainError
from javis.store import new_job_id
from javis.train import process
from javis.train.process import Worker, is_alive, started_at
from javis.train.supervisor import LOG_BYTES, Supervisor, train_command

FAKE = Path(__file__).with_name("fake_worker.py")
JOB = "j_" + "0" * 32


def eventually(holds: Callable[[], object], within_s: float = 8.0) -> float:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < within_s, "it never came true"
        time.sleep(0.01)
    return time.monotonic() - start


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@contextmanager
def supervising(runs: Path, *words: str, **options: float) -> Iterator[Supervisor]:
    # A busy computer leaves a process of low priority little time to obey.
    options = {"grace_s": 20.0} | options
    supervisor = Supervisor(
        runs, lambda folder: [sys.executable, str(FAKE), str(folder), *words], **options
    )
    try:
        yield supervisor
    finally:
        for pid in list(supervisor._children):
            supervisor.stop(Worker(pid, started_at(pid) or 0))
        supervisor.let_go()


def begin(supervisor: Supervisor, job_id: str = JOB) -> Worker:
    folder = supervisor.folder(job_id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "job.json").write_text("{}")
    with supervisor.reserved() as lock:
        return supervisor.start(job_id, lock)


def steps(supervisor: Supervisor) -> int:
    return sum(event.kind == "step" for event in supervisor.events(JOB))


def test_a_run_from_start_to_result(runs: Path) -> None:
    with supervising(runs) as supervisor:
        worker = begin(supervisor)
        assert supervisor.is_alive(worker)
        eventually(lambda: not supervisor.is_alive(worker))
        assert supervisor.exit_status(worker) == 0
        result = supervisor.result(JOB)
        assert result and result["state"] == "trained"
        events = supervisor.events(JOB)
        assert [event.kind for event in events] == ["phase", *["step"] * 4, "done"]
        assert [event.number for event in events] == [1, 2, 3, 4, 5, 6]
        assert supervisor.events(JOB, after=4) == events[4:]
        with supervisor.reserved():
            pass


def test_only_one_at_a_time(runs: Path) -> None:
    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        for other in (supervisor, Supervisor(runs)):
            with pytest.raises(AlreadyTraining), other.reserved():
                pass
        supervisor.stop(worker)
        with supervisor.reserved():
            pass


def test_ten_starts_at_once_make_one_run(runs: Path) -> None:
    with supervising(runs, "slow") as supervisor:
        refused, started = [], []
        gate = threading.Barrier(10)

        def start() -> None:
            job_id = new_job_id()
            gate.wait()
            try:
                started.append(begin(supervisor, job_id))
            except AlreadyTraining:
                refused.append(job_id)

        threads = [threading.Thread(target=start) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(started), len(refused)) == (1, 9)


def test_without_the_lock_in_the_trainers_hands_a_second_one_would_start(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the two tests above: the lock stays with the server."""
    monkeypatch.setattr(
        "javis.train.supervisor.spawn", lambda argv, folder, fds: process.spawn(argv, folder, [])
    )
    with supervising(runs, "slow") as supervisor:
        begin(supervisor)
        begin(supervisor, new_job_id())
        assert len(supervisor._children) == 2


def test_another_process_is_refused_too(runs: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from javis.core.errors import AlreadyTraining\n"
        "from javis.train.supervisor import Supervisor\n"
        "try:\n"
        "    with Supervisor(Path(sys.argv[1])).reserved(): print('free')\n"
        "except AlreadyTraining: print('taken')"
    )

    def ask() -> str:
        command = [sys.executable, "-c", code, str(runs)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        assert ask() == "taken"
        os.killpg(worker.pid, 9)
        eventually(lambda: not supervisor.is_alive(worker))
        # kill -9 leaves no dangling lock.
        assert ask() == "free"


def test_stopping_asks_first(runs: Path) -> None:
    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        eventually(lambda: steps(supervisor) >= 2)
        supervisor.stop(worker)
        assert not supervisor.is_alive(worker)
        assert supervisor.result(JOB) == {"state": "cancelled"}


@pytest.mark.parametrize("words", [("slow", "deaf"), ("slow", "deaf", "child")])
def test_stopping_kills_what_does_not_listen(runs: Path, words: tuple[str, ...]) -> None:
    with supervising(runs, *words, grace_s=0.5) as supervisor:
        worker = begin(supervisor)
        eventually(lambda: steps(supervisor) >= 1)
        start = time.monotonic()
        supervisor.stop(worker)
        assert time.monotonic() - start < 5
        assert not supervisor.is_alive(worker)
        if "child" in words:
            child = int((runs / JOB / "child").read_text())
            eventually(lambda: started_at(child) is None)
        with supervisor.reserved():
            pass


def test_a_child_left_behind_is_ended_too(runs: Path) -> None:
    """The trainer obeys, the process it started does not."""
    with supervising(runs, "slow", "child") as supervisor:
        worker = begin(supervisor)
        eventually(lambda: steps(supervisor) >= 1)
        supervisor.stop(worker)
        child = int((runs / JOB / "child").read_text())
        eventually(lambda: started_at(child) is None)


def only_the_leader(worker: Worker, number: int) -> None:
    os.kill(worker.pid, number)


def only_ask(worker: Worker, number: int) -> None:
    if number == signal.SIGTERM:
        os.killpg(worker.pid, number)


@pytest.mark.parametrize(
    ("send", "words", "left"),
    [(only_ask, ("deaf",), "trainer"), (only_the_leader, ("child",), "child")],
)
def test_a_trainer_that_is_only_asked_or_ended_alone_leaves_orphans(
    runs: Path,
    send: Callable[[Worker, int], None],
    words: tuple[str, ...],
    left: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The broken variants of the three tests above: no KILL, and no group."""
    with supervising(runs, "slow", *words, grace_s=0.5) as supervisor:
        worker = begin(supervisor)
        eventually(lambda: steps(supervisor) >= 1)
        pid = worker.pid if left == "trainer" else int((runs / JOB / "child").read_text())
        with monkeypatch.context() as patch:
            patch.setattr(process, "_signal", send)
            patch.setattr(process, "_KILLED_S", 0.1)
            supervisor.stop(worker)
        assert started_at(pid) is not None
        os.killpg(worker.pid, signal.SIGKILL)
        eventually(lambda: started_at(pid) is None)


def test_a_pid_that_is_somebody_elses_now_is_left_alone(runs: Path) -> None:
    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        stale = Worker(worker.pid, worker.started - 100)
        assert not supervisor.is_alive(stale)
        supervisor.stop(stale)
        assert supervisor.is_alive(worker)
        assert not supervisor.is_alive(Worker(2**22 + 1, 5.0))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells the time of day")
def test_after_a_boot_the_same_pid_and_second_are_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(os.getpid(), started_at(os.getpid()) or 0)
    assert is_alive(worker)
    other = tmp_path / "boot_id"
    other.write_text("5b1f0a3e-0000-4000-8000-000000000000\n")
    monkeypatch.setattr("javis.train.process._BOOT_ID", other)
    assert not is_alive(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells the time of day")
def test_a_trainer_of_an_earlier_program_is_known_without_its_boot(runs: Path) -> None:
    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        noted = Worker(worker.pid, worker.started % 1e9)
        assert supervisor.is_alive(noted)
        assert not supervisor.is_alive(Worker(worker.pid, noted.started - 100))
        supervisor.stop(noted)
        assert not supervisor.is_alive(worker)


def test_a_dead_child_nobody_waited_for_is_dead(runs: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    eventually(lambda: started_at(process.pid) is None)
    # The broken variant: it still has its pid, so whoever asks for no more takes it for alive.
    os.kill(process.pid, 0)
    assert psutil.pid_exists(process.pid)
    process.wait()


def test_a_heart_that_stands_still(runs: Path) -> None:
    with supervising(runs, "stuck", stall_s=0.3) as supervisor:
        begin(supervisor)
        assert not supervisor.is_stalled(JOB)
        eventually(lambda: supervisor.is_stalled(JOB))
    with supervising(runs, "slow", stall_s=1.0) as supervisor:
        begin(supervisor)
        eventually(lambda: steps(supervisor) >= 1)
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert not supervisor.is_stalled(JOB)
            time.sleep(0.02)


def test_a_computer_that_was_asleep_is_no_stall(runs: Path) -> None:
    """The heartbeat is hours old, and this process has only just looked."""
    with supervising(runs, stall_s=0.3) as supervisor:
        folder = supervisor.folder(JOB)
        folder.mkdir(parents=True)
        (folder / "heartbeat").touch()
        os.utime(folder / "heartbeat", (1, 1))
        assert not supervisor.is_stalled(JOB)


def test_a_new_supervisor_finds_the_trainer_again(runs: Path) -> None:
    with supervising(runs, "slow") as first:
        worker = begin(first)
        second = Supervisor(runs)
        assert second.is_alive(worker)
        eventually(lambda: len(second.events(JOB)) > 2)
        second.stop(worker)
        eventually(lambda: not first.is_alive(worker))
        assert second.result(JOB) == {"state": "cancelled"}


def test_the_trainer_outlives_its_server(runs: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path\n"
        "from javis.train.supervisor import Supervisor\n"
        "runs, fake, job = sys.argv[1:]\n"
        "s = Supervisor(Path(runs), lambda f: [sys.executable, fake, str(f), 'slow'])\n"
        "s.folder(job).mkdir(parents=True)\n"
        "with s.reserved() as lock: w = s.start(job, lock)\n"
        "print(w.pid, w.started, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", code, str(runs), str(FAKE), JOB]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    worker = Worker(int(said[0]), float(said[1]))
    supervisor = Supervisor(runs)
    assert supervisor.is_alive(worker)
    with pytest.raises(AlreadyTraining), supervisor.reserved():
        pass
    before = steps(supervisor)
    eventually(lambda: steps(supervisor) > before + 2)
    supervisor.stop(worker)
    assert not supervisor.is_alive(worker)


@pytest.mark.parametrize("own", [True, False])
def test_in_the_servers_session_it_would_end_with_the_server(runs: Path, own: bool) -> None:
    """With the broken variant: what ends a terminal ends the server's whole group."""
    code = (
        "import os, signal, subprocess, sys; from pathlib import Path\n"
        "from javis.train import process\n"
        "from javis.train.supervisor import Supervisor\n"
        "runs, fake, job, own = sys.argv[1:]\n"
        "popen = subprocess.Popen\n"
        "def start(*given, **options):\n"
        "    return popen(*given, **options | {'start_new_session': False})\n"
        "if not own: process.subprocess.Popen = start\n"
        "s = Supervisor(Path(runs), lambda f: [sys.executable, fake, str(f), 'slow'])\n"
        "s.folder(job).mkdir(parents=True)\n"
        "with s.reserved() as lock: w = s.start(job, lock)\n"
        "print(w.pid, w.started, flush=True)\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(runs), str(FAKE), JOB, "own" if own else ""],
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    ).stdout.split()
    worker = Worker(int(said[0]), float(said[1]))
    supervisor = Supervisor(runs)
    if own:
        eventually(lambda: steps(supervisor) >= 1)
        assert supervisor.is_alive(worker)
        supervisor.stop(worker)
    else:
        eventually(lambda: not supervisor.is_alive(worker))
        assert supervisor.result(JOB) is None


def test_what_the_trainer_may_see(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVIS_PASSWORD", "canary-5931")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-5931")
    with supervising(runs, "slow") as supervisor:
        worker = begin(supervisor)
        eventually(lambda: steps(supervisor) >= 1)
        seen = json.loads((runs / JOB / "environment.json").read_text())
        assert "canary" not in str(seen)
        assert seen["HF_HUB_OFFLINE"] == "1"
        trainer = psutil.Process(worker.pid)
        assert trainer.nice() > psutil.Process().nice()
        assert trainer.cwd() == str(runs / JOB)
        assert os.getsid(worker.pid) == worker.pid != os.getsid(0)


def test_the_real_command_is_a_list_without_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a b; rm -rf $HOME"
    assert train_command(folder)[-1] == str(folder)


EVIL = "runs; touch evil; $(touch evil) `touch evil` #"


def test_shell_characters_in_the_command_are_only_text(tmp_path: Path) -> None:
    runs = tmp_path / EVIL
    with supervising(runs) as supervisor:
        worker = begin(supervisor)
        eventually(lambda: not supervisor.is_alive(worker))
        result = supervisor.result(JOB)
    assert result and result["state"] == "trained"
    assert not list(tmp_path.rglob("evil"))


def test_a_trainer_started_by_a_shell_would_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broken variant of the test above: the command as one line of text."""

    def by_shell(
        argv: Sequence[str], folder: Path, keep_open: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        return process.spawn(["/bin/sh", "-c", " ".join(argv)], folder, keep_open)

    monkeypatch.setattr("javis.train.supervisor.spawn", by_shell)
    with supervising(tmp_path / EVIL) as supervisor:
        worker = begin(supervisor)
        eventually(lambda: not supervisor.is_alive(worker))
        assert supervisor.result(JOB) is None
    assert list(tmp_path.rglob("evil")) == [tmp_path / EVIL / JOB / "evil"]


def test_a_file_in_the_run_is_no_library(runs: Path) -> None:
    """`json.py` in the working directory would run in place of the library."""
    folder = runs / JOB
    folder.mkdir(parents=True)
    (folder / "json.py").write_text("raise SystemExit(9)")
    module = [sys.executable, "-m", "javis.core.learning"]
    supervisor = Supervisor(runs, lambda folder: module)
    worker = begin(supervisor)
    eventually(lambda: not supervisor.is_alive(worker))
    assert supervisor.exit_status(worker) == 0, supervisor.log_tail(JOB)


def test_a_long_log_is_cut(runs: Path) -> None:
    with supervising(runs, "noisy", "slow") as supervisor:
        begin(supervisor)
        log = runs / JOB / "log.txt"
        # All it prints: a line in the middle of a write would be the end of the log.
        eventually(lambda: log.exists() and log.stat().st_size > 3_000_000)
        supervisor.cap_log(JOB)
        assert log.stat().st_size < LOG_BYTES
        assert supervisor.log_tail(JOB).endswith("y\n")


def test_events_of_a_trainer_that_is_killed_while_writing(runs: Path) -> None:
    supervisor = Supervisor(runs)
    folder = supervisor.folder(JOB)
    folder.mkdir(parents=True)
    file = folder / "events.jsonl"
    line = '{"number": 1, "at": "", "kind": "step", "values": {"step": 1}}\n'
    file.write_text(line + '{"number": 2, "kind": "st')
    assert len(supervisor.events(JOB)) == 1
    with file.open("a") as out:
        out.write("\n" + line + "[]\nnull\n" + line)
    assert [event.number for event in supervisor.events(JOB)] == [1, 2, 3]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"state": 5}'])
def test_half_a_result_is_none(runs: Path, text: str) -> None:
    supervisor = Supervisor(runs)
    supervisor.folder(JOB).mkdir(parents=True)
    (supervisor.folder(JOB) / "result.json").write_text(text)
    assert supervisor.result(JOB) is None


@pytest.mark.parametrize(
    "job_id", ["", ".", "..", "../x", "j_", JOB + "\n", "/etc", "j_" + "G" * 32]
)
def test_ids_that_are_no_folder(runs: Path, job_id: str) -> None:
    with pytest.raises(NotFound):
        Supervisor(runs).folder(job_id)


def test_a_trainer_that_cannot_start(runs: Path) -> None:
    supervisor = Supervisor(runs, lambda folder: ["/no/such/program"])
    with pytest.raises(TrainError, match="could not be started"):
        begin(supervisor)
    with supervisor.reserved():
        pass
