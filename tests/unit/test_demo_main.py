"""How a run of the demo ends: exit codes, one line for what went wrong, and no process left behind."""

import signal
from pathlib import Path

import psutil
import pytest

from demo import guide
from demo.__main__ import main
from demo.children import started, wait_until
from demo.errors import StepFailed


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "report"


def ends(monkeypatch: pytest.MonkeyPatch, out: Path, result: object) -> int:
    """main() around a run that returns or raises this."""

    def run(*_: object) -> object:
        if isinstance(result, BaseException):
            raise result
        return result() if callable(result) else result

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    monkeypatch.setattr(guide, "run", run)
    try:
        return main(["--out", str(out)])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_a_verified_run_ends_with_0(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    assert ends(monkeypatch, out, True) == 0


def test_an_unverified_run_ends_with_1(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    assert ends(monkeypatch, out, False) == 1


def test_a_failed_step_is_told_in_one_line_with_its_log(
    monkeypatch: pytest.MonkeyPatch, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, out, StepFailed("training failed: no\nmemory", Path("/tmp/train.log"))) == 1
    assert capsys.readouterr().err == "demo: training failed: no memory; its log: /tmp/train.log\n"


def test_a_fault_of_our_own_leaves_its_traceback_in_a_log(
    monkeypatch: pytest.MonkeyPatch, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, out, ZeroDivisionError("oh")) == 1
    told = capsys.readouterr().err
    assert told == f"demo: internal error: ZeroDivisionError('oh'); its log: {out}/logs/demo.log\n"
    assert "Traceback" in (out / "logs" / "demo.log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_its_number(monkeypatch: pytest.MonkeyPatch, out: Path, number: signal.Signals) -> None:
    assert ends(monkeypatch, out, lambda: signal.raise_signal(number)) == 128 + number


def test_an_older_report_is_replaced_and_anything_else_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(monkeypatch, out, True) == 0
    (out / "old").touch()
    assert ends(monkeypatch, out, True) == 0
    assert not (out / "old").exists()
    (out / "logs").rmdir()
    (out / "precious").touch()
    assert ends(monkeypatch, out, True) == 1
    assert (out / "precious").exists()
    assert "holds files that are not a report" in capsys.readouterr().err


def test_wrong_options_end_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in (["--hours", "7"], ["--rate", "0"], ["--colour", "red"]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    assert "--hours 7: must be at least 300" in capsys.readouterr().err


def test_a_command_that_fails_is_told_with_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "inspect.log"
    with started("statecast inspect", ["inspect", "absent.onnx"], log) as child, pytest.raises(StepFailed) as failure:
        child.finish()
    assert str(failure.value).startswith("statecast inspect failed (exit code 2): statecast: model absent.onnx")
    assert failure.value.log == log


def test_a_child_is_gone_when_its_block_ends_on_whatever_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sleeper = tmp_path / "statecast.py"
    sleeper.write_text("import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n")
    with sleeper.open("a") as more:
        more.write("time.sleep(600)\n")
    monkeypatch.chdir(tmp_path)  # `python -m statecast` finds this one first
    pids = []

    def broken() -> None:
        with started("sleeper", [], tmp_path / "log", patience=0.2) as child:
            pids.append(child.pid)
            wait_until(lambda: child.said() == "up", child, "its first word", 20)
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert not psutil.pid_exists(pids[0])


def test_a_child_that_ends_too_early_is_told(tmp_path: Path) -> None:
    with (
        started("statecast inspect", ["inspect", "absent.onnx"], tmp_path / "log") as child,
        pytest.raises(StepFailed, match="ended too early"),
    ):
        wait_until(lambda: False, child, "its end", 20)
