"""Records the workspace lines that each test executes, for greenlit_pytest."""

import sys
import threading

import pytest


class _Monitor:
    """Line events through sys.monitoring (Python 3.12 and newer): each line reports once a test."""

    NAME = "sys.monitoring"

    def __init__(self, record):
        self.record = record
        self.api = sys.monitoring
        self.tool = None
        for tool in (4, 3, 5, 2, 1):
            try:
                self.api.use_tool_id(tool, "greenlit")
            except ValueError:
                continue
            self.tool = tool
            break
        if self.tool is None:
            raise RuntimeError("every sys.monitoring tool id is taken")
        self.api.register_callback(self.tool, self.api.events.LINE, self.on_line)

    def on_line(self, code, line):
        self.record(code.co_filename, line)
        return self.api.DISABLE

    def start(self):
        self.api.restart_events()
        self.api.set_events(self.tool, self.api.events.LINE)

    def stop(self):
        self.api.set_events(self.tool, self.api.events.NO_EVENTS)


class _Tracer:
    """Line events through settrace (before Python 3.12)."""

    NAME = "sys.settrace"

    def __init__(self, record, wanted):
        self.record = record
        self.wanted = wanted

    def on_call(self, frame, event, arg):
        if not self.wanted(frame.f_code.co_filename):
            return None
        return self.on_line

    def on_line(self, frame, event, arg):
        if event == "line":
            self.record(frame.f_code.co_filename, frame.f_lineno)
        return self.on_line

    def start(self):
        threading.settrace(self.on_call)
        sys.settrace(self.on_call)

    def stop(self):
        sys.settrace(None)
        threading.settrace(None)


class Lines:
    """Records the workspace lines that each test executes."""

    def __init__(self, owns, emit, test_id):
        self.owns = owns
        self.emit = emit
        self.test_id = test_id
        self.known = {}
        self.current = set()
        if hasattr(sys, "monitoring"):
            self.source = _Monitor(self.record)
        else:
            self.source = _Tracer(self.record, self.wanted)
        emit(e="traced", by=self.source.NAME)

    def wanted(self, path):
        known = self.known.get(path)
        if known is None:
            known = self.known[path] = self.owns(path)
        return known

    def record(self, path, line):
        if self.wanted(path):
            self.current.add((path, line))

    def traced(self):
        # Not around the whole test: pytest's account of a failure is no test, and slow when traced.
        self.source.start()
        try:
            yield
        finally:
            self.source.stop()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_setup(self):
        yield from self.traced()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_call(self):
        yield from self.traced()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self):
        yield from self.traced()

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item, nextitem):
        self.current = set()
        try:
            yield
        finally:
            lines = {}
            for path, line in self.current:
                lines.setdefault(path, []).append(line)
            self.emit(e="lines", id=self.test_id(item.nodeid), lines=lines)
