"""`statecast state prune` against a real broker: it looks, and deletes nothing that may be in use."""

from contextlib import closing

from stream.topics import changelog_name
from tests.integration.application import Application, MakeApplication, one_line
from tests.service import command, eventually


def prune(application: Application, *arguments: str) -> tuple[int, str, str]:
    result = command(
        "state", "prune", "--bootstrap-servers", application.servers, "--application-id", application.name, *arguments
    )
    return result.returncode, result.stdout, result.stderr


def topics(application: Application) -> set[str]:
    with closing(application.asking()) as admin:
        return {topic for topic in admin.topics() if topic.startswith((application.name, application.input))}


def test_it_deletes_what_no_kept_model_needs(application: Application) -> None:
    old = changelog_name(application.name, "0123456789ab")
    application.make(old, 1, cleanup_policy="compact")
    application.make(f"{application.name}.other.state", 1, cleanup_policy="compact")
    before = topics(application)

    code, listing, _ = prune(application, "--keep", str(application.model))
    lines = listing.splitlines()
    assert (code, len(lines)) == (0, 4)
    assert {line.split()[0]: line for line in lines}[application.changelog].endswith(f"--keep {application.model}")
    assert {line.split()[0]: line for line in lines}[old].endswith("unused")
    assert topics(application) == before

    code, _, told = prune(application, "--yes")
    assert "would delete all 2 changelogs" in one_line(code, told, 2)
    stranger = application.but(seed=1).model
    code, _, told = prune(application, "--yes", "--keep", str(application.model), "--keep", str(stranger))
    assert f"--keep {stranger}: there is no changelog" in one_line(code, told, 2)
    code, _, told = prune(application, "--yes", "--keep", __file__)
    assert "is not an ONNX file" in one_line(code, told, 2)
    assert topics(application) == before

    code, listing, _ = prune(application, "--yes", "--keep", str(application.model))
    assert code == 0
    assert listing.endswith(f"deleted {old}\n")
    assert topics(application) == before - {old}
    application.feed(100, first=400)
    application.drain()

    assert prune(application, "--yes", "--all")[0] == 0
    assert topics(application) == before - {old, application.changelog}
    code, _, told = prune(application)
    assert f"--application-id {application.name}: has no changelog at" in one_line(code, told)


def test_a_running_member_s_changelog_is_safe(make: MakeApplication) -> None:
    application = make()
    old = changelog_name(application.name, "0123456789ab")
    application.make(old, 1, cleanup_policy="compact")
    application.feed()
    with application.serving() as service:
        eventually("live", lambda: len(service.said("live")) == 3, 90)
        for more in ((), ("--all",)):
            code, _, told = prune(application, "--yes", *more)
            line = one_line(code, told)
            assert f"{application.changelog}: perhaps in use: written in the last 10 minutes" in line
        assert {old, application.changelog} <= topics(application)
        assert prune(application, "--yes", "--keep", str(application.model))[0] == 0
        assert old not in topics(application)
        service.terminate()
        assert service.wait() == 0
