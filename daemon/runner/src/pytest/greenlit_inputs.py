"""Inputs for probing a function: what tests call it with, and mutations of that.

An input is a pickle of (arguments by position, more positional ones, keyword arguments).
"""

import base64
import io
import itertools
import os
import pickle
import sys
import threading

# Inputs in all, those that tests gave, and of those what one test may give.
LIMIT = 60
SEEN_LIMIT = 24
TEST_LIMIT = 6
# Bytes of one input. What is larger says little more, and takes long to copy.
SIZE_LIMIT = 8192
# Frames looked at for an outer call of the same function.
DEPTH_LIMIT = 40


class Recorder:
    """Records the arguments of outermost calls by tracing: it finds every way to call a function."""

    def __init__(self, emit, path, function):
        self.emit = emit
        self.path = os.path.realpath(path)
        self.name = function.split(".")[-1]
        self.function = function
        self.paths = {}
        self.module = None
        self.seen = {}
        self.of_test = 0
        self.busy = False

    def start(self):
        self.of_test = 0
        threading.settrace(self.on_call)
        sys.settrace(self.on_call)

    def stop(self):
        sys.settrace(None)
        threading.settrace(None)

    def on_call(self, frame, event, arg):
        if frame.f_code.co_name == self.name and event == "call" and not self.busy:
            if self.is_target(frame.f_code) and self.is_outermost(frame):
                self.busy = True
                try:
                    self.record(frame)
                finally:
                    self.busy = False
        return None

    def is_target(self, code):
        path = self.paths.get(code.co_filename)
        if path is None:
            path = self.paths[code.co_filename] = os.path.realpath(code.co_filename)
        return path == self.path and getattr(code, "co_qualname", self.function) == self.function

    @staticmethod
    def is_outermost(frame):
        code = frame.f_code
        for _ in range(DEPTH_LIMIT):
            frame = frame.f_back
            if frame is None:
                return True
            if frame.f_code is code:
                return False
        return True

    def record(self, frame):
        if self.of_test >= TEST_LIMIT or len(self.seen) >= SEEN_LIMIT:
            return
        code, values = frame.f_code, frame.f_locals
        positional = code.co_varnames[:code.co_argcount]
        keywords = code.co_varnames[code.co_argcount:code.co_argcount + code.co_kwonlyargcount]
        rest = code.co_argcount + code.co_kwonlyargcount
        more, named = (), {name: values[name] for name in keywords}
        if code.co_flags & 0x04:
            more = values[code.co_varnames[rest]]
            rest += 1
        if code.co_flags & 0x08:
            named.update(values[code.co_varnames[rest]])
        self.module = frame.f_globals.get("__name__")
        copied = pickled(([values[name] for name in positional], list(more), named))
        if copied is not None and copied not in self.seen:
            self.seen[copied] = None
            self.of_test += 1
            # At once: this call may never end.
            self.emit(e="inputs", module=self.module, inputs=self.inputs())

    def inputs(self):
        """What was seen, and then in turn one mutation of each until there are enough."""
        inputs = dict(self.seen)
        streams = [mutations(copied) for copied in self.seen]
        for copied in itertools.chain.from_iterable(itertools.zip_longest(*streams)):
            if len(inputs) >= LIMIT:
                break
            if copied is not None:
                inputs[copied] = None
        return [base64.b64encode(copied).decode() for copied in inputs]


class _Bounded(io.RawIOBase):
    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        if len(self.data) > SIZE_LIMIT:
            raise ValueError("too large")
        return len(data)


def pickled(value):
    """A deep copy as bytes; None when the value cannot be copied or is too large."""
    file = _Bounded()
    try:
        pickle.Pickler(file, 4).dump(value)
    except Exception:
        return None
    return bytes(file.data)


def mutations(copied):
    """Variants of an input: one argument changed at a time, the arguments in turn."""
    positional, more, named = pickle.loads(copied)
    streams = []
    for values in (positional, more, named):
        keys = sorted(values) if isinstance(values, dict) else range(len(values))
        for key in keys:
            streams.append(_changed(copied, (positional, more, named), values, key))
    for mutation in itertools.chain.from_iterable(itertools.zip_longest(*streams)):
        if mutation is not None:
            yield mutation


def _changed(copied, whole, values, key):
    original = values[key]
    try:
        for value in changes(original):
            values[key] = value
            mutation = pickled(whole)
            values[key] = original
            if mutation is not None and mutation != copied:
                yield mutation
    except Exception:
        # An object of the project that does not let itself be changed: fewer inputs.
        values[key] = original


def changes(value, depth=2):
    """Values near this one, the most telling first; none for what is not known."""
    kind = type(value)
    if kind is bool:
        yield not value
    elif kind is int:
        yield from (value + 1, value - 1, 0, -value, 1, value * 2, value + 2, -1)
    elif kind is float:
        yield from (value + 1.0, -value, 0.0, value / 2, value - 1.0, value * 10)
    elif kind in (str, bytes):
        empty = kind()
        yield from (value[1:], value[::-1], empty, value + value[:1], value[:1], value[:-1])
        if kind is str:
            yield from (value.swapcase(), value + " ", " " + value, value + "a")
    elif kind in (list, tuple):
        yield from (value[1:], value[::-1], kind(), value + value[:1], value[:1], value[:-1])
        if depth:
            for index in range(min(len(value), 4)):
                for element in itertools.islice(changes(value[index], depth - 1), 3):
                    yield value[:index] + kind([element]) + value[index + 1:]
    elif kind is dict:
        keys = list(value)
        for key in keys[:1] + keys[1:][-1:]:
            yield {other: value[other] for other in keys if other != key}
        yield {}
        if depth:
            for key in keys[:4]:
                for element in itertools.islice(changes(value[key], depth - 1), 3):
                    yield dict(value, **{key: element}) if isinstance(key, str) else {
                        other: element if other == key else value[other] for other in keys
                    }
    elif kind in (set, frozenset):
        ordered = sorted(value, key=repr)
        yield from (kind(ordered[1:]), kind(), kind(ordered[:1]), kind(ordered[:-1]))
    elif value is None:
        yield from (0, "")
    elif depth and isinstance(getattr(value, "__dict__", None), dict):
        # The caller pickles before it asks for the next change.
        for name in sorted(vars(value))[:6]:
            original = vars(value)[name]
            try:
                for element in itertools.islice(changes(original, depth - 1), 4):
                    vars(value)[name] = element
                    yield value
            finally:
                vars(value)[name] = original
