"""Finds the commands in the blocks of a page, and runs them as a reader would, one after the other in one folder."""

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

from localbroker.ports import free_port
from tests.service import eventually

PROGRAMS = {
    "cat", "chmod", "curl", "docker", "export", "git", "kafka-acls", "kafka-python", "kill", "kubectl", "make", "mkdir",
    "openssl", "pip", "python", "python3.11", "statecast", ".venv/bin/python",
}  # fmt: skip
# Blocks that are no commands, and neither TOML nor JSON: how each begins.
DATA = (
    "sensor,when,celsius", "boiler-1   {", "class codec:", "offline       ", "verified      every event",
    '{"epoch":1,"epochs":60,',
)  # fmt: skip


def blocks(page: Path) -> list[str]:
    """The texts of the page's blocks, fenced ones and indented ones, without what they are indented by."""
    found: list[list[str]] = []
    fenced, inside = False, False
    before = ""
    for line in page.read_text().splitlines():
        if line.lstrip().startswith("```"):
            fenced, inside = not fenced, False
            if fenced:
                found.append([])
        elif fenced:
            found[-1].append(line)
        elif re.match(r" {4}", line) and (inside or not before):
            if not inside:
                found.append([])
            inside = True
            found[-1].append(line)
        elif line:
            inside = False
        before = line.strip()
    return ["\n".join(strip(lines)) for lines in found]


def strip(lines: list[str]) -> list[str]:
    width = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return [line[width:] for line in lines]


def is_data(block: str) -> bool:
    if block.lstrip().startswith(DATA):
        return True
    with suppress(tomllib.TOMLDecodeError):
        return bool(tomllib.loads(block))
    with suppress(json.JSONDecodeError):
        return all(json.loads(line) is not None for line in block.splitlines() if line)
    return False


def commands(page: Path) -> list[str]:
    """Every command of the page, whole, without comments; fails at a block that is neither commands nor known data."""
    found = []
    for block in blocks(page):
        if is_data(block):
            continue
        lines = iter(block.splitlines())
        for line in lines:
            text = line
            while text.endswith("\\"):
                text = f"{text[:-1].rstrip()} {next(lines).strip()}"
            if end := re.search(r"<<'(\w+)'", text):
                for inner in lines:
                    text += f"\n{inner}"
                    if inner == end[1]:
                        break
            else:
                text = re.sub(r"\s+#.*$", "", text)
            program = next(word for word in text.split() if "=" not in word)
            assert program in PROGRAMS, f"{page.name}: neither a known program nor known data: {text}"
            found.append(text)
    return found


@dataclass
class Job:
    """A command that runs, and what it says."""

    process: subprocess.Popen[bytes]
    output: Path

    def said(self) -> str:
        return self.output.read_text(errors="replace")


@dataclass
class Shell:
    """A reader's shell: its folder, its background jobs, and in place of the pages' ports those that are free here."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)  # in the background, as %1, %2, ...
    started: list[Job] = field(default_factory=list)  # and those that were waited for
    done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = free_port()
        self.http = free_port(besides=self.broker)
        self.servers, self.address = f"127.0.0.1:{self.broker}", f"127.0.0.1:{self.http}"

    def told(self, text: str) -> str:
        """The text with the ports that are free here."""
        replaced = text.replace("127.0.0.1:9092", self.servers).replace("--port 9092", f"--port {self.broker}")
        return replaced.replace("127.0.0.1:8080", self.address)

    def run(self, command: str) -> None:
        """Run it; what does not end by itself is seen at work, and ended as a reader would."""
        words = command.split()
        if words[0] == "kill":
            self.end(self.jobs[int(words[1].removeprefix("%")) - 1])
        elif words[-1] == "&":
            self.jobs.append(self.start(command))
            self.ready(command, self.jobs[-1])
        elif "serve" in words and "--until-end" not in words:
            job = self.start(command)
            self.ready(command, job)
            self.end(job)
        elif words[:2] == ["kafka-python", "consumer"]:
            job = self.start(command)
            eventually(f"a prediction: {command}", lambda: "surprise" in job.said() or job.process.poll() is not None)
            job.process.send_signal(signal.SIGINT)
            job.process.wait(60)
            assert "surprise" in job.said(), job.said()
        else:
            self.finish(command)
        self.done.append(command)

    def start(self, command: str) -> Job:
        output = self.folder / f"{len(list(self.folder.glob('*.said')))}.said"
        text = self.told(command).removesuffix("&").strip()
        with output.open("wb") as sink:
            # exec: a signal reaches the program, not a shell before it.
            process = subprocess.Popen(
                ["bash", "-c", f"exec {text}"], cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
                stdout=sink, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started.append(Job(process, output))
        return self.started[-1]

    def ready(self, command: str, job: Job) -> None:
        def look() -> bool:
            assert job.process.poll() is None, f"{command}\n{job.said()}"
            if "broker" in command.split():
                return self.servers in job.said()
            if "--http" not in command and "--config" not in command:
                return '"event":"live"' in job.said().replace(": ", ":")
            with suppress(OSError), urlopen(f"http://{self.address}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
            return False

        eventually(f"ready: {command}", look)

    def end(self, job: Job) -> None:
        job.process.terminate()
        assert job.process.wait(60) == 0, job.said()

    def finish(self, command: str) -> None:
        """Run it to its end; again, as its line says, while the group still has a member that was stopped."""

        def attempt() -> bool:
            result = subprocess.run(
                ["bash", "-c", self.told(command)], cwd=self.folder, env=environment(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=200, check=False,
            )  # fmt: skip
            told = f"{command}\nended with {result.returncode}\n{result.stdout}{result.stderr}"
            assert result.returncode == 0 or "its group has" in result.stderr, told
            assert result.returncode or result.stdout or result.stderr or ">" in command, f"said nothing: {command}"
            assert not command.startswith("curl") or "error" not in json.loads(result.stdout), told
            return result.returncode == 0

        eventually(f"ended: {command}", attempt, pause=1)

    def close(self) -> None:
        """End what still runs, the service before the broker."""
        for job in reversed(self.started):
            if job.process.poll() is None:
                job.process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    job.process.wait(30)
                job.process.kill()
                job.process.wait(10)


def environment() -> dict[str, str]:
    """With the commands of this environment, as after `. .venv/bin/activate`."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
