"""Which changelogs `statecast state prune` may delete, without a broker."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stream.broker.admin import TopicInfo
from stream.broker.port import Identity
from stream.errors import Refused, StatecastError, UsageError
from stream.ops.prune import check, survey, table

NOW = 1_700_000_000.0
A, B = "app.aaaaaaaaaaaa.state", "app.bbbbbbbbbbbb.state"
IDENTITY = Identity("broker:9092", "app", "app-prune")


@dataclass
class Fake:
    """Topics by name, and how many seconds ago each was last written."""

    ages: dict[str, float]
    members: int = 0
    policies: dict[str, str] = field(default_factory=dict)

    def topics(self) -> list[str]:
        return list(self.ages)

    def describe(self, topic: str) -> TopicInfo | None:
        return TopicInfo(topic, 2, 1, None, {"cleanup.policy": self.policies.get(topic, "compact")})

    def watermarks(self, topic: str, partitions: Sequence[int], timeout: float) -> dict[int, tuple[int, int]]:  # noqa: ARG002
        return {p: (0, 600 * p) for p in partitions}

    def at_time(self, topic: str, partition: int, at: int, timeout: float) -> int | None:  # noqa: ARG002
        return 5 if partition == 1 and at <= (NOW - self.ages[topic]) * 1000 else None

    def group_members(self, group: str) -> int:  # noqa: ARG002
        return self.members

    def delete(self, topic: str) -> None: ...


def refusal(brokers: Fake, *keep: str, all: bool = False) -> StatecastError:
    names = {topic: Path(f"{topic}.onnx") for topic in keep}
    with pytest.raises(StatecastError) as caught:
        check(survey(brokers, IDENTITY, names, NOW), names, all=all)
    assert "\n" not in str(caught.value)
    return caught.value


def test_only_the_application_s_changelogs_are_looked_at() -> None:
    others = [
        "app.aaaaaaaaaaaa.state.old",
        "my.app.aaaaaaaaaaaa.state",
        "app.AAAAAAAAAAAA.state",
        "appXaaaaaaaaaaaaXstate",
    ]
    others += ["app.one.aaaaaaaaaaaa.state", "app.aaaaaaaaaaa.state", "app.out"]
    found = survey(Fake({A: 5, **dict.fromkeys(others, 5.0)}), IDENTITY, {}, NOW)
    assert [c.topic for c in found] == [A]


def test_an_application_without_a_changelog_is_told() -> None:
    with pytest.raises(Refused, match="--application-id app: has no changelog at broker:9092; check the id"):
        survey(Fake({"app.out": 5}), IDENTITY, {}, NOW)


def test_a_model_that_is_kept_keeps_its_changelog_and_lets_the_others_go() -> None:
    names = {A: Path("a.onnx")}
    found = survey(Fake({A: 5, B: 900}, members=3), IDENTITY, names, NOW)
    check(found, names, all=False)
    assert [(c.topic, c.verdict) for c in found] == [(A, "kept: --keep a.onnx"), (B, "unused")]
    assert (found[1].fingerprint, found[1].records) == ("b" * 12, 600)


def test_what_was_written_lately_while_the_group_has_members_stays() -> None:
    error = refusal(Fake({A: 5, B: 599}, members=2), A)
    assert isinstance(error, Refused)
    assert str(error).startswith(f"{B}: perhaps in use: written in the last 10 minutes, and the group has 2 members")
    assert "--keep its model" in str(error)
    refusal(Fake({A: 5, B: 599}, members=2), A, all=True)


@pytest.mark.parametrize(("age", "members"), [(599, 0), (601, 2)])
def test_what_was_written_lately_by_nobody_or_long_ago_may_go(age: float, members: int) -> None:
    names = {A: Path("a.onnx")}
    check(survey(Fake({A: 5, B: age}, members), IDENTITY, names, NOW), names, all=False)


def test_all_of_them_go_only_with_all() -> None:
    error = refusal(Fake({A: 900, B: 900}))
    assert isinstance(error, UsageError)
    assert "would delete all 2 changelogs" in str(error)
    check(survey(Fake({A: 900, B: 900}), IDENTITY, {}, NOW), {}, all=True)


def test_a_model_to_keep_that_has_no_changelog_may_be_the_wrong_file() -> None:
    error = refusal(Fake({A: 900}), A, B)
    assert isinstance(error, UsageError)
    assert f"--keep {B}.onnx: there is no changelog {B}" in str(error)


def test_a_topic_of_that_name_that_is_no_changelog_is_left_alone() -> None:
    found = survey(Fake({A: 900, B: 900}, policies={B: "delete"}), IDENTITY, {}, NOW)
    assert found[1].kept
    assert "cleanup.policy=delete" in found[1].verdict


def test_the_table_has_a_line_for_each() -> None:
    lines = table(survey(Fake({A: 5, B: 1e9}), IDENTITY, {}, NOW))
    assert [line.split()[0] for line in lines] == ["topic", A, B]
    assert "within 10 minutes" in lines[1]
    assert "over a week ago" in lines[2]
    assert lines[1].endswith("unused")
