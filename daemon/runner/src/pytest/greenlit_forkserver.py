"""Runs pytest again and again in forks of warm processes.

Started as `python greenlit_forkserver.py <setup.json>`; reads one JSON request per line and
answers one JSON line:

    setup    {"cwd": dir, "root": dir, "args": [...], "files": [...], "warm": request file,
              "wall": seconds}
    request  {"run": plugin request, "changed": [...]|null, "files": [...], "wall": seconds}
    answer   {"code": n|null, "signal": n|null, "timed_out": bool, "cpu": seconds}

Three kinds of process:

    server    imported what pytest and the tests need from outside the workspace, as one warm-up
              fork found out.
    template  a fork of the server in which pytest stands where it is about to open the first of
              the files that a candidate changes, or before its first test. What happened before
              cannot depend on what those files hold. One per set of changed files and test files.
    attempt   a fork of its template that goes on from there. It opens the files as they are now.

Where a template cannot be had (files that come or go, threads, an error before that point), the
attempt is a fork of the server and goes all the way.
"""

import collections
import gc
import importlib
import json
import marshal
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
import warnings

# The template's exit code when it is of no use.
NOT_SHARED = 75
# Beyond these the template that was not used for longest ends.
TEMPLATES = 16
# How long a template may take to kill an attempt and to answer.
GRACE = 3.0


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        setup = json.load(file)
    plain = "--plain" in sys.argv
    # The protocol keeps the real descriptors; whatever runs below sees neither.
    channel = Channel(os.dup(0), os.dup(1))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.chdir(setup["cwd"])
    # As `python -m pytest` has it: the working directory comes first.
    sys.path[0] = setup["cwd"]
    watch = Watch(setup["root"])
    if not plain:
        watch.act = watch.note
        preload(setup)
        watch.act = None
        if watch.opened:
            # A package from outside imports modules of the workspace, and so holds on to them.
            os.dup2(channel.reader, 0)
            os.dup2(channel.writer, 1)
            os.execv(sys.executable, [sys.executable] + sys.argv + ["--plain"])
    settle()
    Server(setup, channel, watch).serve()


class Channel:
    """One JSON object per line, in both directions."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.rest = b""

    def receive(self, seconds=None):
        """The next object; None at the end, or when the time has passed."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self.rest:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not select.select([self.reader], [], [], left)[0]:
                return None
            chunk = os.read(self.reader, 1 << 20)
            if not chunk:
                return None
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line.decode())

    def send(self, value):
        data = (json.dumps(value) + "\n").encode()
        while data:
            data = data[os.write(self.writer, data):]

    def close(self):
        for descriptor in {self.reader, self.writer}:
            os.close(descriptor)


class Watch:
    """Sees every file that Python opens: sources, and what tests read while they are collected.

    An audit hook cannot be removed: with `act` None it does nothing.
    """

    def __init__(self, root):
        self.root = os.path.join(os.path.realpath(root), "")
        self.act = None
        self.opened = set()
        self.works = hasattr(sys, "addaudithook")
        if self.works:
            sys.addaudithook(self.on_event)

    def on_event(self, event, args):
        if event == "open" and self.act is not None and not isinstance(args[0], int):
            try:
                path = os.fsdecode(args[0])
            except TypeError:
                return
            self.act(path)

    def note(self, path):
        if path.endswith(".py") and is_inside(self.root, os.path.realpath(path)):
            self.opened.add(path)


class Server:
    def __init__(self, setup, channel, watch):
        self.setup = setup
        self.channel = channel
        self.watch = watch
        self.templates = collections.OrderedDict()
        self.hopeless = set()

    def serve(self):
        self.channel.send({"ready": True})
        while True:
            request = self.channel.receive()
            if request is None:
                return
            self.channel.send(self.answer(request))

    def answer(self, request):
        template, cpu = self.template(request)
        if template is None:
            return self.alone(request)
        template.send({"run": request["run"], "wall": request["wall"]})
        answer = template.receive(request["wall"] + GRACE)
        if answer is None:
            # Code under test ended it. Whatever it left running ends with this sandbox's job.
            os._exit(0)
        answer["cpu"] += cpu
        return answer

    def alone(self, request):
        """An attempt without a template."""
        pid = fork()
        if pid == 0:
            code = 70
            try:
                self.let_go()
                os.setsid()
                code = run(request["run"], self.setup["args"] + request["files"])
            finally:
                os._exit(code)
        return await_child(pid, request["wall"])

    def let_go(self):
        """In a fork: code under test must not speak for the server."""
        self.channel.close()
        for _, channel in self.templates.values():
            channel.close()

    def template(self, request):
        """The template for a request, and the CPU time that it took to make it."""
        changed = request["changed"]
        if changed is None or not self.watch.works:
            return None, 0.0
        key = (tuple(changed), tuple(request["files"]))
        if key in self.templates:
            self.templates.move_to_end(key)
            return self.templates[key][1], 0.0
        if key in self.hopeless:
            return None, 0.0
        while len(self.templates) >= TEMPLATES:
            end(*self.templates.popitem(last=False)[1])
        ours, theirs = socket.socketpair()
        pid = fork()
        if pid == 0:
            code = NOT_SHARED
            try:
                self.let_go()
                ours.close()
                channel = Channel(theirs.fileno(), theirs.fileno())
                code = Template(self.watch, channel, changed).run(self.setup, request["files"])
            finally:
                os._exit(code)
        theirs.close()
        descriptor = ours.detach()
        channel = Channel(descriptor, descriptor)
        ready = channel.receive(self.setup["wall"])
        if ready is None:
            end(pid, channel)
            self.hopeless.add(key)
            return None, 0.0
        self.templates[key] = (pid, channel)
        return channel, ready["cpu"]


class Template:
    """A pytest plugin, too: it knows when the first test would begin."""

    def __init__(self, watch, channel, changed):
        self.watch = watch
        self.channel = channel
        self.changed = {os.path.realpath(path) for path in changed}
        self.names = {os.path.basename(path) for path in changed}
        self.pid = os.getpid()
        self.session = None
        self.generators = Generators()

    def run(self, setup, files):
        import greenlit_pytest
        import pytest

        class Plugin:
            @pytest.hookimpl(tryfirst=True)
            def pytest_sessionstart(_, session):
                self.session = session

            @pytest.hookimpl(tryfirst=True)
            def pytest_runtestloop(_, session):
                if self.is_template():
                    self.serve()
                    greenlit_pytest.select(session)
                    return greenlit_pytest.pytest_runtestloop(session)
                return None

            @pytest.hookimpl(tryfirst=True)
            def pytest_sessionfinish(_, session, exitstatus):
                # All tests and fixtures have ended; the summary that follows is read by nobody.
                if os.getpid() != self.pid:
                    greenlit_pytest.finish(session, exitstatus)
                    os._exit(int(exitstatus))

        # Every test of the files: an attempt picks its own.
        greenlit_pytest.begin(dict(greenlit_pytest.load(setup["warm"]), only=None))
        self.watch.act = self.on_open
        code = int(pytest.main(setup["args"] + files, plugins=[Plugin()]))
        # Without an attempt, pytest did not come as far as that: let each say why.
        return NOT_SHARED if os.getpid() == self.pid else code

    def is_template(self):
        return self.watch.act is not None and os.getpid() == self.pid

    def on_open(self, path):
        if os.path.basename(path) in self.names and self.is_template():
            if os.path.realpath(path) in self.changed:
                self.serve()

    def serve(self):
        """Returns in forks only."""
        if threading.active_count() > 1 or getattr(self.session, "testsfailed", 0):
            os._exit(NOT_SHARED)
        self.watch.act = None
        try:
            self.generators.look()
            settle()
            usage = resource.getrusage(resource.RUSAGE_SELF)
            self.channel.send({"cpu": usage.ru_utime + usage.ru_stime})
            while True:
                request = self.channel.receive()
                if request is None:
                    break
                pid = fork()
                if pid == 0:
                    self.channel.close()
                    os.setsid()
                    import greenlit_pytest

                    greenlit_pytest.begin(request["run"])
                    greenlit_pytest.emit(e="session")
                    self.generators.renew()
                    return
                self.channel.send(await_child(pid, request["wall"]))
        except BaseException:
            pass
        # Never back into the code that opened the file.
        os._exit(0)


class Generators:
    """The global random generators: an attempt sees what a process of its own would see.

    What the project seeded stays seeded; what it did not touch differs from attempt to attempt.
    """

    def __init__(self):
        self.before = self.states()
        self.seeded = set()
        self.python = None

    @staticmethod
    def states():
        states = {}
        if "random" in sys.modules:
            states["random"] = sys.modules["random"].getstate()
        if "numpy.random" in sys.modules:
            name, keys, *rest = sys.modules["numpy.random"].get_state()
            states["numpy.random"] = (name, keys.tobytes(), *rest)
        return states

    def look(self):
        now = self.states()
        self.seeded = {name for name in now if now[name] != self.before.get(name)}
        # Python gives each fork a new seed by itself.
        self.python = now.get("random")

    def renew(self):
        if "random" in self.seeded:
            sys.modules["random"].setstate(self.python)
        if "numpy.random" in sys.modules and "numpy.random" not in self.seeded:
            sys.modules["numpy.random"].seed()


def fork():
    """Python 3.12 warns of threads, which native libraries keep for themselves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return os.fork()


def settle():
    """Keeps the collector from touching, and so copying, every page in the forks."""
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def is_inside(root, path):
    own = os.path.join(sys.prefix, "")
    foreign = own != root and own.startswith(root) and path.startswith(own)
    return path.startswith(root) and "site-packages" not in path and not foreign


def preload(setup):
    """Imports what a run imports from outside the workspace, and keeps what its own modules
    compile to."""
    root = os.path.join(setup["root"], "")
    read, write = os.pipe()
    pid = fork()
    if pid == 0:
        os.setsid()
        os.close(read)
        import greenlit_pytest

        greenlit_pytest.compiled.record = True
        run(greenlit_pytest.load(setup["warm"]), setup["args"] + ["--collect-only"] + setup["files"])
        # pytest warns when a plugin that it wants to rewrite was imported before.
        rewritten = set()
        for finder in sys.meta_path:
            rewritten |= set(getattr(finder, "_must_rewrite", ()))
        names = []
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None) or ""
            packages = {name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)}
            outside = not is_inside(root, path) and name != "__main__"
            if outside and not packages & rewritten:
                names.append(name)
        with os.fdopen(write, "wb") as pipe:
            marshal.dump((names, greenlit_pytest.compiled.codes), pipe)
        os._exit(0)
    os.close(write)
    deadline = time.monotonic() + setup["wall"]
    chunks = []
    while True:
        left = deadline - time.monotonic()
        ready = select.select([read], [], [], max(left, 0))[0]
        if not ready:
            break
        chunk = os.read(read, 1 << 16)
        if not chunk:
            break
        chunks.append(chunk)
    os.close(read)
    kill(pid)
    os.waitpid(pid, 0)
    try:
        names, codes = marshal.loads(b"".join(chunks))
    except (ValueError, EOFError, TypeError):
        return
    for name in names:
        if name in sys.modules:
            continue
        try:
            importlib.import_module(name)
        except BaseException:
            pass
    # A workspace module that came along with one of those must be fresh in every fork.
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if is_inside(root, path) and name != "__main__":
            del sys.modules[name]
    import greenlit_pytest

    greenlit_pytest.compiled.codes = codes


def run(request, args):
    import greenlit_pytest
    import pytest

    greenlit_pytest.begin(request)

    return int(pytest.main(args))


def kill(pid):
    for target in (-pid, pid):
        try:
            os.kill(target, signal.SIGKILL)
        except OSError:
            pass


def end(pid, channel):
    """Ends a template, which waits for requests or hangs before it could."""
    channel.close()
    kill(pid)
    os.waitpid(pid, 0)


def await_child(pid, wall):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = wait(pid, time.monotonic() + wall)
    timed_out = status is None
    kill(pid)
    if timed_out:
        status = os.waitpid(pid, 0)[1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    exited = os.WIFEXITED(status)
    return {
        "code": os.WEXITSTATUS(status) if exited and not timed_out else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) and not timed_out else None,
        "timed_out": timed_out,
        "cpu": cpu,
    }


def wait(pid, deadline):
    """The wait status, or None when the deadline passed."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            descriptor = None
        if descriptor is not None:
            try:
                select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))
            finally:
                os.close(descriptor)
            done, status = os.waitpid(pid, os.WNOHANG)
            return status if done else None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.002)


if __name__ == "__main__":
    main()
