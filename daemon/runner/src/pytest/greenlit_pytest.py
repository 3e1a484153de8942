"""Reports exact node ids, started tests, tracebacks and executed lines to Greenlit.

Loaded with `-p greenlit_pytest`. The request is a JSON file named by GREENLIT_REQUEST:

    events  file that receives one JSON object per line, written at once
    root    the workspace root; ids are relative to it
    only    list of ids to run, or null for all
    lines   whether to record executed lines per test
    limit   seconds one test may take, or null
    brief   whether to leave out the account of each failure; else the first ones have one
    record  {path, function} whose arguments to report, or null
    probe   {path, module, function, inputs, skip}: calls it instead of running tests, or null

Works from Python 3.7 and pytest 6 on; standard library only. PYTEST_DONT_REWRITE
"""

import functools
import importlib.machinery
import json
import os
import signal
import sys
import threading
import traceback

import pytest

_FRAME_LIMIT = 100
_TEXT_LIMIT = 8000
# Thousands of failures say much the same, and each account takes as long as some tests.
_ACCOUNTS = 200


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


class _Request:
    def __init__(self, data):
        self.root = data["root"]
        self.prefix = os.path.join(self.root, "")
        only = data.get("only")
        self.only = None if only is None else set(only)
        self.lines = bool(data.get("lines"))
        self.limit = data.get("limit")
        self.accounts = 0 if data.get("brief") else _ACCOUNTS
        self.probe = data.get("probe")
        self.recorder = None
        if data.get("record"):
            import greenlit_inputs

            self.recorder = greenlit_inputs.Recorder(self.emit, **data["record"])
        self.events = os.open(data["events"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.pid = os.getpid()

    def emit(self, **event):
        # A test that forks inherits this plugin; only the session's own process reports.
        if os.getpid() == self.pid:
            text = json.dumps(event) + "\n"
            data = text.encode("utf-8", "surrogatepass")
            while data:
                data = data[os.write(self.events, data):]

    def owns(self, path):
        """Whether a source file belongs to the workspace and not to an installed package."""
        if not path.startswith(self.prefix):
            return False
        inner = path[len(self.prefix):].replace(os.sep, "/")
        return "/site-packages/" not in "/" + inner and "/dist-packages/" not in "/" + inner


_request = None


def begin(data):
    """Takes a request. The fork server calls this in each fork; else it happens on import."""
    global _request
    first = _request is None
    _request = _Request(data)
    if first:
        _ignore_stale_bytecode()


def emit(**event):
    _request.emit(**event)


def finish(session, exitstatus):
    stopped = getattr(session, "shouldstop", False) or getattr(session, "shouldfail", False)
    emit(e="finish", status=int(exitstatus), stopped=str(stopped or ""))


def select(session):
    """Picks the tests of the request among those that a fork server's template collected."""
    pytest_collection_modifyitems(session.config, session.items)
    _report_collected(session)


class _Compiled:
    """What workspace modules compile to, kept by the fork server for its forks.

    A code object is used only for the very text that it was made from.
    """

    LIMIT = 1 << 20

    def __init__(self):
        self.record = False
        self.codes = {}

    def find(self, path, rewritten, source):
        known = self.codes.get((path, rewritten))
        return known[1] if known is not None and known[0] == source else None

    def keep(self, path, rewritten, source, code):
        if self.record and len(source) <= self.LIMIT:
            self.codes[path, rewritten] = (bytes(source), code)


compiled = _Compiled()


def _text_of(path):
    with open(path, "rb") as file:
        return file.read()


def _ignore_stale_bytecode():
    """Makes workspace modules come from their source text only.

    Python trusts a .pyc whose source has the same size and the same modification time in whole
    seconds. Two candidates written within one second can agree in both.
    """
    loader = importlib.machinery.SourceFileLoader
    path_stats = loader.path_stats
    source_to_code = loader.source_to_code

    def to_code(self, data, path, **kwargs):
        if not isinstance(data, bytes) or not isinstance(path, str) or not _request.owns(path):
            return source_to_code(self, data, path, **kwargs)
        code = compiled.find(path, False, data)
        if code is None:
            code = source_to_code(self, data, path, **kwargs)
            compiled.keep(path, False, data, code)
        return code

    loader.source_to_code = to_code

    def stats(self, path):
        if _request.owns(path):
            raise OSError("bytecode of workspace files is not used")
        return path_stats(self, path)

    loader.path_stats = stats
    try:
        from _pytest.assertion import rewrite

        read_pyc = rewrite._read_pyc
        rewrite_test = rewrite._rewrite_test

        def read(source, *args, **kwargs):
            path = str(source)
            if not _request.owns(path):
                return read_pyc(source, *args, **kwargs)
            return compiled.find(path, True, _text_of(path)) if compiled.codes else None

        def rewritten(source, *args, **kwargs):
            result = rewrite_test(source, *args, **kwargs)
            path = str(source)
            if compiled.record and _request.owns(path):
                compiled.keep(path, True, _text_of(path), result[-1])
            return result

        rewrite._read_pyc = read
        rewrite._rewrite_test = rewritten
    except (ImportError, AttributeError):
        pass


@functools.lru_cache(maxsize=1024)
def _relative(rootpath, path, root):
    absolute = os.path.normpath(os.path.join(rootpath, path))
    return os.path.relpath(absolute, root).replace(os.sep, "/")


def _test_id(rootpath, nodeid):
    """The node id with its path relative to the workspace root."""
    path, separator, rest = nodeid.partition("::")
    return _relative(rootpath, path, _request.root) + separator + rest


def _rootpath(config):
    return str(getattr(config, "rootpath", None) or config.rootdir)


def _frames(tb):
    frames = []
    while tb is not None:
        path = tb.tb_frame.f_code.co_filename
        # "<string>" and the like are no files.
        path = path if path.startswith("<") else os.path.abspath(path)
        if _request.owns(path):
            frames.append([path, tb.tb_lineno, tb.tb_frame.f_code.co_name])
        tb = tb.tb_next
    return frames[-_FRAME_LIMIT:]


def _syntax_frame(error):
    """A syntax error has no frame of its own: its position is in the exception."""
    path = getattr(error, "filename", None)
    line = getattr(error, "lineno", None)
    if isinstance(error, SyntaxError) and path and line and _request.owns(str(path)):
        return [[str(path), line, "<module>"]]
    return []


def _causes(error):
    """The exception and what it was raised from."""
    seen = []
    while error is not None and error not in seen and len(seen) < 10:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


def _bounded(text):
    return text if len(text) <= _TEXT_LIMIT else text[-_TEXT_LIMIT:]


def _brief(excinfo, style=None):
    return excinfo.exconly()


def _account(original):
    """Python's own traceback from the first line of the workspace on, where that says what failed.

    pytest's styles parse each file of a traceback anew: a failure costs as much as many tests.
    """

    def account(excinfo, *args, **kwargs):
        tb = excinfo.tb
        while tb is not None:
            path = tb.tb_frame.f_code.co_filename
            if not path.startswith("<") and _request.owns(os.path.abspath(path)):
                break
            tb = tb.tb_next
        if tb is None or not getattr(excinfo.value, "pytrace", True):
            return original(excinfo, *args, **kwargs)
        return "".join(traceback.format_exception(excinfo.type, excinfo.value, tb))

    return account


def _is_assertion(excinfo):
    failed = getattr(pytest.fail, "Exception", AssertionError)
    return isinstance(excinfo.value, (AssertionError, failed))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    in_full = _request.accounts > 0
    if not in_full:
        item.repr_failure = item._repr_failure_py = _brief
    elif call.excinfo is not None and isinstance(item, pytest.Function):
        item.repr_failure = _account(item.repr_failure)
        item._repr_failure_py = _account(item._repr_failure_py)
    outcome = yield
    report = outcome.get_result()
    excinfo = call.excinfo
    if excinfo is not None and report.outcome == "failed":
        if in_full:
            _request.accounts -= 1
        # Plain lists survive the way from a pytest-xdist worker to its controller.
        report.greenlit_frames = _frames(excinfo.tb) + _syntax_frame(excinfo.value)
        report.greenlit_assertion = _is_assertion(excinfo)
        report.greenlit_timeout = isinstance(excinfo.value, _TookTooLong)
        report.greenlit_message = excinfo.exconly(tryshort=True)


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    # The collector turns the exception into text; keep its frames on the way.
    caught = []
    original = getattr(collector, "repr_failure", None)
    if original is not None:

        def repr_failure(excinfo):
            caught.append(excinfo)
            return original(excinfo)

        try:
            collector.repr_failure = repr_failure
        except AttributeError:
            pass
    outcome = yield
    report = outcome.get_result()
    if original is not None:
        try:
            del collector.repr_failure
        except AttributeError:
            pass
    if caught and report.outcome == "failed":
        report.greenlit_frames = []
        report.greenlit_message = ""
        for error in reversed(_causes(caught[0].value)):
            frames = _frames(error.__traceback__) + _syntax_frame(error)
            if frames and not report.greenlit_frames:
                report.greenlit_frames = frames
                report.greenlit_message = "%s: %s" % (type(error).__name__, error)


def _report_collected(session):
    rootpath = _rootpath(session.config)
    items = [[_test_id(rootpath, item.nodeid), item.nodeid] for item in session.items]
    _request.emit(e="collected", tests=items)


class _Reporter:
    """Registered in the controlling process only, never in a pytest-xdist worker."""

    def __init__(self, config):
        self.rootpath = _rootpath(config)

    def id(self, nodeid):
        return _test_id(self.rootpath, nodeid)

    def pytest_collectreport(self, report):
        if report.outcome == "failed":
            _request.emit(
                e="collect-error",
                path=self.id(report.nodeid) if report.nodeid else "",
                frames=getattr(report, "greenlit_frames", []),
                message=getattr(report, "greenlit_message", ""),
                text=_bounded(str(report.longrepr)),
            )

    def pytest_collection_finish(self, session):
        _report_collected(session)

    def pytest_runtest_logstart(self, nodeid, location):
        _request.emit(e="start", id=self.id(nodeid))

    def pytest_runtest_logreport(self, report):
        event = {
            "e": "phase",
            "id": self.id(report.nodeid),
            "nodeid": report.nodeid,
            "when": report.when,
            "outcome": report.outcome,
            "duration": getattr(report, "duration", 0.0),
        }
        if report.outcome == "failed":
            crash = getattr(report.longrepr, "reprcrash", None)
            event["frames"] = getattr(report, "greenlit_frames", None) or []
            event["assertion"] = bool(getattr(report, "greenlit_assertion", False))
            event["timeout"] = bool(getattr(report, "greenlit_timeout", False))
            event["message"] = _bounded(
                getattr(report, "greenlit_message", None)
                or getattr(crash, "message", None)
                or str(report.longrepr)
            )
            event["text"] = _bounded(getattr(report, "longreprtext", "") or "")
        _request.emit(**event)

    def pytest_runtest_logfinish(self, nodeid, location):
        _request.emit(e="end", id=self.id(nodeid))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus):
        finish(session, exitstatus)

    def pytest_internalerror(self, excrepr):
        _request.emit(e="internal-error", text=_bounded(str(excrepr)))


def _limit_tests(config):
    known = config.pluginmanager.has_plugin("greenlit-limit")
    if _request.limit and not known and hasattr(signal, "setitimer"):
        config.pluginmanager.register(_Limit(_request.limit), "greenlit-limit")


def pytest_configure(config):
    _limit_tests(config)
    if hasattr(config, "workerinput"):
        return
    _request.emit(e="session", rootpath=_rootpath(config), pytest=pytest.__version__)
    config.pluginmanager.register(_Reporter(config), "greenlit-reporter")
    if _request.lines:
        import greenlit_lines

        rootpath = _rootpath(config)
        lines = greenlit_lines.Lines(
            _request.owns, emit, lambda nodeid: _test_id(rootpath, nodeid)
        )
        config.pluginmanager.register(lines, "greenlit-lines")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    if _request.recorder is not None:
        # Every test, not only those until the first failure.
        session.config.option.maxfail = 0
        _limit_tests(session.config)
    if _request.probe is None:
        return None
    import greenlit_probe

    greenlit_probe.run(_request.probe, emit)
    return True


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    recorder = _request.recorder
    if recorder is None:
        yield
        return
    recorder.start()
    try:
        yield
    finally:
        recorder.stop()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if _request.only is None:
        return
    rootpath = _rootpath(config)
    kept, dropped = [], []
    for item in items:
        target = kept if _test_id(rootpath, item.nodeid) in _request.only else dropped
        target.append(item)
    if dropped:
        items[:] = kept
        config.hook.pytest_deselected(items=dropped)


class _TookTooLong(BaseException):
    """Not an Exception, so that code under test does not swallow it by accident."""


class _Limit:
    """Ends tests that take too long: a test that hangs is a result, not the end of the run.

    The other cases of a function that hung once get a shorter limit: most of them will hang, too.
    """

    SHORTER = 8

    def __init__(self, seconds):
        self.seconds = self.share = seconds
        self.hung = set()
        self.running = None

    def on_alarm(self, number, frame):
        self.hung.add(self.running)
        raise _TookTooLong("took longer than %g s" % self.share)

    def limited(self, item):
        """Interrupts one phase of a test that takes longer than its share."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self.running = item.nodeid.split("[")[0]
        self.share = self.seconds
        if self.running in self.hung:
            self.share = max(self.seconds / self.SHORTER, min(self.seconds, 1.0))
        previous = signal.signal(signal.SIGALRM, self.on_alarm)
        # Repeats, because a bare `except:` in a loop would swallow a single one.
        signal.setitimer(signal.ITIMER_REAL, self.share, 0.05)
        yield
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_setup(self, item):
        yield from self.limited(item)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_call(self, item):
        yield from self.limited(item)


if "GREENLIT_REQUEST" in os.environ:
    begin(load(os.environ["GREENLIT_REQUEST"]))
