"""Calls a function with given inputs and says for each, in a digest, what it did."""

import asyncio
import base64
import hashlib
import importlib
import inspect
import itertools
import os
import pickle
import re
import signal
import sys

# Seconds for one call; once calls took longer, the later ones get less.
PATIENCE = 0.3
LESS_PATIENCE = 0.08
# What is looked at of a value.
NODES = 3000
ITEMS = 1000
DEPTH = 8


class _TookTooLong(BaseException):
    """Not an Exception, so that code under test does not swallow it by accident."""


def run(request, emit):
    """Emits the outcome of each input, as soon as it is known, and whether it is always the same."""
    function = find(request["module"], request["path"], request["function"])
    if function is None:
        return
    slow = 0
    for index, data in enumerate(request["inputs"]):
        if index < request["skip"]:
            continue
        copied = base64.b64decode(data)
        seconds = PATIENCE if slow < 2 else LESS_PATIENCE
        outcome = call(function, copied, seconds)
        stable = True
        if outcome == "timeout":
            slow += 1
        else:
            stable = call(function, copied, PATIENCE) == outcome
        emit(e="probe", input=index, outcome=outcome, stable=stable)
    emit(e="probed")


def find(name, path, qualified):
    """The function as written in that file: below decorators, and no method object."""
    try:
        value = importlib.import_module(name)
        for part in qualified.split("."):
            value = inspect.getattr_static(value, part)
            if isinstance(value, property):
                value = value.fget
            value = getattr(value, "__func__", value)
        value = inspect.unwrap(value)
    except Exception:
        return None
    code = getattr(value, "__code__", None)
    if code is None or os.path.realpath(code.co_filename) != os.path.realpath(path):
        return None
    return value if code.co_name == qualified.split(".")[-1] else None


def call(function, copied, seconds):
    def on_alarm(number, frame):
        raise _TookTooLong

    previous = signal.signal(signal.SIGALRM, on_alarm)
    try:
        try:
            # Repeats, because a bare `except:` in a loop would swallow a single one.
            signal.setitimer(signal.ITIMER_REAL, seconds, 0.02)
            positional, more, named = pickle.loads(copied)
            before = Describer().text((positional, more, named))
            try:
                text = "returns " + Describer().text(
                    consumed(function(*positional, *more, **named))
                )
            except _TookTooLong:
                raise
            except BaseException as error:
                text = "raises " + type(error).__name__
            after = Describer().text((positional, more, named))
            signal.setitimer(signal.ITIMER_REAL, 0)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
    except _TookTooLong:
        return "timeout"
    except BaseException as error:
        return "odd " + type(error).__name__
    if after != before:
        text += " and leaves " + after
    kind = text.split(" ", 1)[0]
    return "%s %s" % (kind, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16])


def consumed(value):
    """A result, with what it would only give later."""
    if inspect.iscoroutine(value):
        value = asyncio.run(value)
    if inspect.isgenerator(value) or type(value) in (map, zip, filter, enumerate, reversed):
        return list(itertools.islice(value, ITEMS))
    return value


class Describer:
    """A value as text that is the same in another process: no addresses, no order of sets."""

    def __init__(self):
        self.left = NODES
        self.open = set()

    def text(self, value, depth=DEPTH):
        self.left -= 1
        if self.left < 0 or depth == 0 or id(value) in self.open:
            return "..."
        self.open.add(id(value))
        try:
            return self.describe(value, depth - 1)
        finally:
            self.open.discard(id(value))

    def describe(self, value, depth):
        kind = type(value)
        if kind is float:
            # Sums in another order differ in the last digits.
            return "%.12g" % value
        if kind in (list, tuple):
            items = ",".join(self.text(item, depth) for item in value[:ITEMS])
            return "%s%d(%s)" % (kind.__name__, len(value), items)
        if kind is dict:
            items = itertools.islice(value.items(), ITEMS)
            pairs = (self.text(key, depth) + ":" + self.text(item, depth) for key, item in items)
            return "dict%d{%s}" % (len(value), ",".join(pairs))
        if kind in (set, frozenset):
            items = sorted(self.text(item, depth) for item in itertools.islice(value, ITEMS))
            return "%s%d{%s}" % (kind.__name__, len(value), ",".join(items))
        if kind.__repr__ is object.__repr__:
            inner = getattr(value, "__dict__", None)
            return "%s %s" % (kind.__name__, self.text(inner, depth) if inner else "")
        return "%s %s" % (kind.__name__, re.sub(r"0x[0-9a-fA-F]+", "0x", repr(value)))
