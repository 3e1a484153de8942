"""Runs pytest again and again in forks of one warm process.

Started as `python greenlit_forkserver.py <setup.json>`; reads one JSON request per line and
answers one JSON line:

    setup    {"cwd": dir, "root": dir, "args": [...], "files": [...], "warm": request file}
    request  {"request": file for GREENLIT_REQUEST, "files": [...], "wall": seconds}
    answer   {"code": n|null, "signal": n|null, "timed_out": bool, "cpu": seconds}

What pytest and the tests need from outside the workspace is found out in one warm-up fork and
then imported once. After that pytest itself is brought to the point where collection begins, and
forked there. That is given up for forks before pytest starts when its start already imports
modules of the project (through a conftest.py): those must be fresh for each attempt.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import sys
import time


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        setup = json.load(file)
    # The protocol keeps the real descriptors; whatever runs below sees neither.
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    answers = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(null, 2)
    os.chdir(setup["cwd"])
    # As `python -m pytest` has it: the working directory comes first.
    sys.path[0] = setup["cwd"]
    preload(setup)
    channel = Channel(requests, answers)
    template = os.fork()
    if template == 0:
        code = NOT_SHARED
        try:
            code = serve_at_collection(setup, channel)
        finally:
            os._exit(code)
    status = os.waitpid(template, 0)[1]
    if not os.WIFEXITED(status) or os.WEXITSTATUS(status) != NOT_SHARED:
        os._exit(0)
    settle()
    channel.answer({"ready": True, "shared": False})
    while True:
        request = channel.request()
        if request is None:
            return
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                channel.close()
                os.setsid()
                code = run(request["request"], setup["args"] + request["files"])
            finally:
                os._exit(code)
        channel.answer(await_child(pid, request["wall"]))


# The template's exit code when pytest's start is not to be shared.
NOT_SHARED = 75


class Channel:
    """The protocol's two ends."""

    def __init__(self, requests, answers):
        self.requests = requests
        self.answers = answers

    def request(self):
        line = self.requests.readline()
        return json.loads(line) if line else None

    def answer(self, value):
        data = (json.dumps(value) + "\n").encode()
        while data:
            data = data[os.write(self.answers, data):]

    def close(self):
        """In a fork: code under test must not speak for the server."""
        os.close(self.requests.fileno())
        os.close(self.answers)


class ForkPoint:
    """A pytest plugin: where collection would begin, it serves requests by forking."""

    def __init__(self, root, channel):
        self.root = root
        self.channel = channel
        self.forked = False

    def project_is_loaded(self):
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None) or ""
            if name == "__main__" or not is_inside(self.root, path):
                continue
            # Candidates do not touch the tests' own configuration.
            parts = path.replace(os.sep, "/").split("/")
            own = parts[-1] == "conftest.py" or parts[-2:] in (
                ["tests", "__init__.py"],
                ["test", "__init__.py"],
            )
            if not own:
                return True
        return False

    def serve(self, session):
        """Returns in forks only; they go on to collect and run."""
        if self.project_is_loaded():
            os._exit(NOT_SHARED)
        settle()
        self.channel.answer({"ready": True, "shared": True})
        while True:
            request = self.channel.request()
            if request is None:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                self.channel.close()
                os.setsid()
                import greenlit_pytest

                greenlit_pytest.begin(request["request"])
                greenlit_pytest.emit(e="session")
                session.config.args = request["files"]
                self.forked = True
                return
            self.channel.answer(await_child(pid, request["wall"]))


def serve_at_collection(setup, channel):
    import greenlit_pytest
    import pytest

    class Plugin(ForkPoint):
        @pytest.hookimpl(tryfirst=True)
        def pytest_collection(self, session):
            self.serve(session)

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(self, session, exitstatus):
            # All tests and fixtures have ended; the summary that follows is read by nobody.
            if self.forked:
                greenlit_pytest.finish(session, exitstatus)
                os._exit(int(exitstatus))

    greenlit_pytest.begin(setup["warm"])
    point = Plugin(os.path.join(setup["root"], ""), channel)
    parent = os.getpid()
    code = int(pytest.main(setup["args"] + setup["files"], plugins=[point]))
    # pytest did not come to collection: let each attempt say why.
    return NOT_SHARED if os.getpid() == parent else code


def settle():
    """Keeps the collector from touching, and so copying, every page in the forks."""
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()


def is_inside(root, path):
    return path.startswith(root) and "site-packages" not in path


def preload(setup):
    """Imports what a run imports from outside the workspace."""
    root = os.path.join(setup["root"], "")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(read)
        run(setup["warm"], setup["args"] + ["--collect-only"] + setup["files"])
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
        with os.fdopen(write, "w", encoding="utf-8") as pipe:
            json.dump(names, pipe)
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
        names = json.loads(b"".join(chunks).decode())
    except ValueError:
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
