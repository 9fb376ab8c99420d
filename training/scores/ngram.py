"""What a model of symbols must beat: n-grams. Knows arrays only.

Interpolated Kneser-Ney with three discounts an order (Chen and Goodman 1999); below the unigram all symbols are alike.
"""

import numpy as np

from training.scores.series import Array, Bools, Ints

ORDERS = range(1, 6)  # symbols of a gram: order 1 is the unigram
DISCOUNT = 0.75  # where there are too few grams to tell it


class NGrams:
    """Symbols [N] of all streams one after another, numbered by the grams that end at each of them."""

    def __init__(self, symbols: Ints, start: Bools, fitted: Bools, size: int) -> None:
        """symbols: from 0 to size - 1; start: [N] a stream's first one; fitted: [N] the training part."""
        self.fitted = np.flatnonzero(fitted)
        self.size = size
        self.grams: list[Ints] = [np.zeros(len(symbols), np.int64)]  # [order][N] the gram of this order that ends here
        self.contexts: list[Ints] = [np.zeros(0, np.int64)]  # [order][N] the gram of one order less that ends before
        for order in ORDERS:
            before = np.zeros(len(symbols), np.int64)  # 0: nothing, or a stream's beginning
            if order > 1:
                before[1:] = np.where(start[1:], 0, self.grams[-1][:-1] + 1)
            self.contexts.append(before)
            self.grams.append(np.unique(before * size + symbols, return_inverse=True)[1])

    def probabilities(self, order: int, rows: Ints) -> Array:
        """[rows]: of these symbols, each after the order - 1 symbols before it."""
        found = np.full(len(rows), 1 / self.size)
        for below in range(1, order + 1):
            found = self._interpolated(below, below == order, rows, found)
        return found

    def _interpolated(self, order: int, top: bool, rows: Ints, lower: Array) -> Array:
        """The highest order counts how often a gram came, the lower ones after how many symbols it did."""
        grams, contexts = self.grams[order], self.contexts[order]
        counted = self.fitted if top else self._one_of_each(order + 1)
        counts = np.bincount(grams[counted], minlength=int(grams.max(initial=-1)) + 1)
        context = np.zeros(len(counts), np.int64)
        context[grams] = contexts
        taken = _discounts(counts)[np.minimum(counts, 3)]
        size = int(contexts.max(initial=-1)) + 1
        total, left = np.bincount(context, counts, size), np.bincount(context, taken, size)
        here, gram = contexts[rows], grams[rows]
        known = np.maximum(total[here], 1)
        mixed = (counts[gram] - taken[gram] + left[here] * lower) / known
        return np.where(total[here] > 0, mixed, lower)

    def _one_of_each(self, order: int) -> Ints:
        """An occurrence in the training part of each gram of this order."""
        grams = self.grams[order]
        occurrence = np.full(int(grams.max(initial=-1)) + 1, -1)
        occurrence[grams[self.fitted]] = self.fitted
        return occurrence[occurrence >= 0]


def _discounts(counts: Ints) -> Array:
    """[4]: what is taken of a gram's count of 0, 1, 2, and 3 or more."""
    n1, n2, n3, n4 = (float((counts == n).sum()) for n in (1, 2, 3, 4))
    if not n1 * n2 * n3:
        return np.array([0.0, DISCOUNT, DISCOUNT, DISCOUNT])
    part = n1 / (n1 + 2 * n2)
    taken = np.array([0.0, 1 - 2 * part * n2 / n1, 2 - 3 * part * n3 / n2, 3 - 4 * part * n4 / n3])
    return taken.clip([0, 0.05, 0.05, 0.05], [0, 0.95, 1.95, 2.95])
