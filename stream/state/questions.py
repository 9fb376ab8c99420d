"""What has to be asked of the brokers, on a thread of its own: answers may take long, and the loop must not wait."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Answer(Generic[T]):
    """An answer that may not be there yet."""

    value: T | None = None
    error: Exception | None = None
    there: bool = False

    def get(self) -> T:
        """The value, once it is there. Raises what asking raised."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


class Questions:
    """Asked one after the other, in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._answer, name="questions", daemon=True).start()

    def ask(self, call: Callable[[], T]) -> Answer[T]:
        """Call it on the other thread; the answer is there later."""
        answer: Answer[T] = Answer()

        def run() -> None:
            try:
                answer.value = call()
            except Exception as error:  # whoever looks at the answer raises it
                answer.error = error
            answer.there = True

        self._waiting.put(run)
        return answer

    def _answer(self) -> None:
        while True:
            self._waiting.get()()
