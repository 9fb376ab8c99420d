"""Task `symbol` in training: the vocabulary, what is learned and scored, the network's measures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from export import parity
from export.config import Config
from export.graph import build
from training import trainer
from training.data import Events
from training.errors import TrainingError, TrainingStopped
from training.recipe import Recipe
from training.reference import reference
from training.splits import TEST, TRAIN, VALID, Split
from training.symbol import Symbol, embedding, fitted, parameters
from training.symbol_data import prepare, vocabulary
from training.symbol_network import SymbolNetwork, initialise

SENTENCE = "Sphinx of black quartz, judge my vow, and you may go to bed."
RECIPE = Recipe(epochs=60, patience=60, tbptt=64, lanes=8, learning_rate=2e-2, dropout=0.0, average=0.0, weight_decay=0)


def events(*texts: str) -> Events:
    """Each text a stream of characters; a `~` is a missing one."""
    symbols = tuple(dict.fromkeys("".join(texts).replace("~", "")))
    values = [[np.nan if letter == "~" else symbols.index(letter) for letter in text] for text in texts]
    stream = np.repeat(np.arange(len(texts)), [len(text) for text in texts])
    time = np.concatenate([np.arange(len(text)) for text in texts])
    order = np.argsort(time, kind="stable")
    return Events(
        keys=[b"%d" % i for i in range(len(texts))],
        stream=stream[order],
        time=time[order],
        values=np.concatenate(values)[order, None],
        features=("symbol",),
        timed=False,
        symbols=symbols,
    )


def by_stream(found: Events, *parts: int) -> Split:
    return Split(np.array(parts, np.int8)[found.stream], None, None)


def task(found: Events, split: Split, hidden: int = 24, most: int = 100, **more: object) -> tuple[Symbol, list[str]]:
    torch.manual_seed(0)
    symbols = vocabulary(found, split, most)
    config = Config(
        ("symbol",),
        ("symbol",),
        hidden,
        task="symbol",
        outcomes=len(symbols),
        embedding=8,
        **more,  # type: ignore[arg-type]
    )
    network = SymbolNetwork(config)
    text = prepare(found, split, config, symbols, network.weights())
    initialise(network, text.counts)
    return Symbol(network, text), list(symbols)


def test_a_sentence_that_was_learned_is_recited_from_its_first_character() -> None:
    found = events(SENTENCE, SENTENCE)
    learner, symbols = task(found, by_stream(found, TRAIN, VALID), hidden=64)
    trainer.train(learner, replace(RECIPE, epochs=60, learning_rate=2e-2), lambda _: None)

    config = learner.network.config
    step = parity.session(build(config, learner.network.weights()), config)
    said, state, one = SENTENCE[0], parity.cold(config, 1), np.ones((1, 1, 1), np.float32)
    for _ in SENTENCE[1:]:
        probabilities, _, state = step(one * symbols.index(said[-1]), one, state)
        said += symbols[int(probabilities.argmax())]
    assert said == SENTENCE


def test_the_vocabulary_is_the_training_parts_most_frequent_symbols() -> None:
    found = events("aabbbc~", "zzzzzz")
    split = by_stream(found, TRAIN, TEST)
    assert vocabulary(found, split, 9) == ("", "b", "a", "c")
    assert vocabulary(found, split, 2) == ("", "b", "a")


def test_symbols_out_of_the_vocabulary_are_the_unknown_one_and_missing_ones_are_missing() -> None:
    found = events("ab~ca")
    split = Split(np.zeros(5, np.int8), None, None)
    config = Config(("symbol",), ("symbol",), 8, task="symbol", outcomes=3, embedding=8)
    text = prepare(found, split, config, ("", "a", "b"), {})
    assert text.symbol.tolist() == [1, 2, 0, 0, 1]
    assert text.there.tolist() == [1, 1, 0, 1, 1]
    assert text.counts.tolist() == [1, 2, 1]


def test_every_symbol_but_the_missing_ones_is_predicted_once_the_first_of_a_stream_too() -> None:
    found = events("abcabcabcabc~bcabc", "ab", "c")
    learner, _ = task(found, by_stream(found, TRAIN, TRAIN, TRAIN))
    for epoch in (1, 2, 3):
        counts = [int(count) for _, count in learner.losses(RECIPE, np.random.default_rng(epoch), epoch)]
        assert sum(counts) == 19  # all but the missing one, and the stream of one symbol, which nothing follows


def test_the_validation_part_is_scored_alone() -> None:
    found = events("abab" * 100)
    split = Split(np.repeat([TRAIN, VALID, TEST], [300, 40, 60]).astype(np.int8), None, None)
    learner, symbols = task(found, split)
    network = learner.network
    network.head.weight.data.zero_()
    network.head.bias.data = torch.tensor([0.0, 3.0, 1.0])

    expected = torch.log_softmax(network.head.bias.data, 0)[[1, 2]].mean()

    assert symbols == ["", "a", "b"]
    assert learner.validate() == pytest.approx(-float(expected), rel=1e-6)


def test_long_validation_parts_are_scored_in_pieces_with_a_run_up_to_the_same_score() -> None:
    letters = "".join(np.random.default_rng(0).choice(list("abcd"), 6000))
    found = events(letters)
    split = Split(np.repeat([TRAIN, VALID, TEST], [500, 5000, 500]).astype(np.int8), None, None)
    learner, symbols = task(found, split)
    config = learner.network.config
    step = reference(config, learner.network.weights())
    x = np.array([symbols.index(letter) for letter in letters], np.float32).reshape(-1, 1, 1)
    _, surprise, _ = step(x, np.ones_like(x), parity.cold(config, 1))
    assert learner.validate() == pytest.approx(surprise[500:5500].mean() * np.log(10), abs=1e-4)


def test_what_is_told_of_the_validation_part_is_what_a_model_that_looks_up_is_surprised_by() -> None:
    letters = np.random.default_rng(0).choice(list("aab~"), 400)
    found = events("".join(letters), "abababaab~bab")
    split = Split(
        np.where(found.time < 250, TRAIN, np.where(found.time < 350, VALID, TEST)).astype(np.int8), None, None
    )
    learner, symbols = task(found, split)
    config = replace(learner.network.config, recall=30)
    bias, slope = torch.linspace(2, -2, 5), torch.linspace(-1, 1, 5)
    weights = learner.network.weights() | {"recall.bias": bias.numpy(), "recall.slope": slope.numpy()}
    x = np.array([symbols.index(letter.replace("~", "")) for letter in letters], np.float32).reshape(-1, 1, 1)
    mask = (letters != "~").astype(np.float32).reshape(-1, 1, 1)

    _, surprise, _ = reference(config, weights)(x, mask, parity.cold(config, 1))
    told = learner.told(30)

    assert told is not None
    scored = np.flatnonzero(letters[250:350] != "~") + 250
    assert float(told.mixed(bias.double(), slope.double())) == pytest.approx(
        surprise[scored].mean() * np.log(10), rel=1e-5
    )
    assert told.nats() == pytest.approx(learner.validate(), rel=1e-6)


def test_without_a_validation_part_nothing_is_told() -> None:
    found = events("abab" * 20)
    learner, _ = task(found, by_stream(found, TRAIN))
    assert learner.told(30) is None


def test_a_fresh_network_says_how_frequent_symbols_are() -> None:
    found = events("aaab" * 200)
    learner, _ = task(found, Split(np.repeat([TRAIN, VALID], 400).astype(np.int8), None, None))
    learner.network.head.weight.data.zero_()
    assert learner.validate() == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)), abs=0.01)


@pytest.mark.parametrize("recall", [0, 16, 50])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "graves-lstm"])
def test_the_file_says_what_the_network_says(cell: str, recall: int) -> None:
    config = Config(
        ("symbol",), ("symbol",), 16, layers=2, task="symbol", cell=cell, outcomes=11, embedding=6,
        calendar=("hour",), since_last=cell == "gru", recall=recall,
    )  # fmt: skip
    torch.manual_seed(1)
    network = SymbolNetwork(config)
    weights = network.weights() | {"head.weight": 10 * network.weights()["head.weight"]}
    if recall:
        weights |= {"recall.bias": torch.linspace(2, -2, 5).numpy(), "recall.slope": torch.linspace(-3, 3, 5).numpy()}
    step = parity.session(build(config, weights), config)
    assert parity.difference(step, reference(config, weights), config, weights) <= parity.TOLERANCE


def test_streams_of_one_symbol_teach_nothing() -> None:
    found = events("a", "b")
    with pytest.raises(TrainingStopped, match="no stream has two events"):
        task(found, by_stream(found, TRAIN, TRAIN))


def test_the_units_are_as_many_as_the_parameters_allow() -> None:
    config = Config(("symbol",), ("symbol",), task="symbol", outcomes=66, embedding=embedding(66))
    made = fitted(config, 350_000)
    assert made.embedding == 32
    assert made.hidden % 8 == 0
    assert parameters(made) <= 350_000 < parameters(replace(made, hidden=made.hidden + 8))
    network = SymbolNetwork(made)
    assert sum(weight.numel() for weight in network.parameters()) == parameters(made)


def test_a_vocabulary_too_large_for_the_parameters_is_refused() -> None:
    config = Config(("symbol",), ("symbol",), task="symbol", outcomes=20_000, embedding=embedding(20_000))
    with pytest.raises(TrainingError, match=r"--max-parameters 350000: 20000 symbols .* smaller --vocabulary"):
        fitted(config, 350_000)
