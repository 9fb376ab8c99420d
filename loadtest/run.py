"""One load test from options to exit code: the only file that knows the order of things."""

from contextlib import closing
from typing import TextIO

from export.signature import ModelFileError
from loadtest import report
from loadtest.attendant import Attendant
from loadtest.checks import check
from loadtest.codecs import CODECS
from loadtest.errors import UsageError
from loadtest.facts import facts
from loadtest.findings import VerifyResult
from loadtest.kafka import connect
from loadtest.modes import measure
from loadtest.options import LoadOptions
from loadtest.report import Told
from loadtest.verify import verify


def run(options: LoadOptions, *, out: TextIO | None = None, err: TextIO | None = None) -> int:
    """Do what the options ask; the summary goes to `out`, progress to `err` (the standard streams by default).

    Exit code 0; 1 where verification failed or, without one, not every output arrived. Raises LoadTestError.
    """
    check(options)
    for name, path in {"json": options.json, "html": options.html}.items():
        if path is not None:
            report.check_writable(name, path)
    if options.html is not None:
        import loadtest.page as page  # it wants matplotlib; if that is missing, better now than after the test
    with Told(err) as told:
        try:
            with Attendant(options, told) as attendant:
                summary = measure(options, told, attendant)
            summary.timeline, summary.kills = attendant.timeline(summary.followed), attendant.kills
            if options.verify:
                summary.verified = _verify(options, told)
        except ModelFileError as error:
            raise UsageError(f"--model: {error}") from None
    summary.facts = facts(options)
    report.show(summary, out)
    if options.json is not None:
        report.write("json", options.json, report.as_json(summary))
    if options.html is not None:
        report.write("html", options.html, page.render(summary).encode())
    return 0 if summary.passed else 1


def _verify(options: LoadOptions, told: Told) -> VerifyResult:
    assert options.model is not None, "options.check has seen to it"
    letters = options.dead_letter_topic
    if not letters:
        usual = f"{options.output_topic}.dead-letters"
        with closing(connect(options.bootstrap_servers, options.client)) as cluster:
            letters = usual if cluster.partitions(usual) is not None else ""
    return verify(
        options.bootstrap_servers,
        options.model,
        options.input_topic,
        options.output_topic,
        dead_letter_topic=letters or None,
        delivery=options.delivery,
        state_ttl=options.state_ttl,
        poison_policy=options.poison_policy,
        client=options.client,
        batch=options.batch,
        timeout=options.timeout,
        examples=options.examples,
        max_key_bytes=options.max_key_bytes,
        max_value_bytes=options.max_value_bytes,
        codec=CODECS[options.codec],
        progress=lambda done, total: told.count("verified", done, total),
    )
