"""Values that are there later."""

import threading

__all__ = ["Future", "collect_all", "wait_all"]


class Future:
    """A value that somebody sets, once, and others wait for.

    Args:
        devices: accepted; values are of any kind.
    """

    def __class_getitem__(cls, item):
        return cls

    def __init__(self, *, devices=None):
        self._condition = threading.Condition()
        self._done = False
        self._value = self._error = None
        self._callbacks = []

    def done(self):
        """Whether a value or an exception is there."""
        return self._done

    def _finish(self, value, error):
        with self._condition:
            if self._done:
                raise RuntimeError("Future can only be set once")
            self._value, self._error, self._done = value, error, True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            callback(self)

    def set_result(self, result):
        """Sets the value. Raises: RuntimeError if there is one already."""
        self._finish(result, None)

    def set_exception(self, result):
        """Sets the exception that waiting raises. Raises: AssertionError for what is none."""
        if not isinstance(result, Exception):
            raise AssertionError(f"{result} is of type {type(result)}, not an Exception.")
        self._finish(None, result)

    def wait(self):
        """The value, as soon as it is there; raises the exception that was set."""
        with self._condition:
            self._condition.wait_for(lambda: self._done)
        return self.value()

    def value(self):
        """The value, which must be there. Raises: RuntimeError if it is not."""
        if not self._done:
            raise RuntimeError("Future has not completed yet: call wait()")
        if self._error is not None:
            raise self._error
        return self._value

    def add_done_callback(self, callback):
        """Calls ``callback(self)`` when the value is there, at once if it is."""
        with self._condition:
            if not self._done:
                self._callbacks.append(callback)
                return
        callback(self)

    def then(self, callback):
        """A future of ``callback(self)``, which runs when the value is there."""
        after = Future()

        def run(future):
            try:
                after.set_result(callback(future))
            except Exception as error:
                after.set_exception(error)

        self.add_done_callback(run)
        return after


def collect_all(futures):
    """A future of the list of the futures, done when all are."""
    futures, out, lock = list(futures), Future(), threading.Lock()
    left = [len(futures)]
    if not futures:
        out.set_result([])

    def count(_):
        with lock:
            left[0] -= 1
            last = left[0] == 0
        if last:
            out.set_result(futures)

    for future in futures:
        future.add_done_callback(count)
    return out


def wait_all(futures):
    """The values of all futures, waited for."""
    return [future.wait() for future in collect_all(futures).wait()]
