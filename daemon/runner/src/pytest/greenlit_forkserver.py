"""Runs pytest again and again in forks of one warm process.

Started as `python greenlit_forkserver.py <setup.json>`; reads one JSON request per line and
answers one JSON line:

    setup    {"cwd": dir, "args": [...], "warm": request file}
    request  {"request": file for GREENLIT_REQUEST, "args": [...], "wall": seconds}
    answer   {"code": n|null, "signal": n|null, "timed_out": bool, "cpu": seconds}

Project modules are never imported here: each fork imports them afresh. What pytest and the
tests need from elsewhere is found out in one warm-up fork and then imported once.
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
    root = os.path.join(setup["root"], "")
    preload(setup, root)
    gc.collect()
    if hasattr(gc, "freeze"):
        gc.freeze()
    answer(answers, {"ready": True})
    while True:
        line = requests.readline()
        if not line:
            return
        answer(answers, attempt(json.loads(line), (answers, requests.fileno())))


def answer(descriptor, value):
    data = (json.dumps(value) + "\n").encode()
    while data:
        data = data[os.write(descriptor, data):]


def preload(setup, root):
    """Imports what a run imports from outside the workspace."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.close(read)
        run(setup["warm"], setup["args"] + ["--collect-only"])
        # pytest warns when a plugin that it wants to rewrite was imported before.
        rewritten = set()
        for finder in sys.meta_path:
            rewritten |= set(getattr(finder, "_must_rewrite", ()))
        names = []
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None) or ""
            inside = path.startswith(root) and "site-packages" not in path
            packages = {name.rsplit(".", depth)[0] for depth in range(name.count(".") + 1)}
            if not inside and not packages & rewritten and name != "__main__":
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
        if path.startswith(root) and "site-packages" not in path and name != "__main__":
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


def attempt(request, private):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.setsid()
            for descriptor in private:
                os.close(descriptor)
            code = run(request["request"], request["args"])
        except SystemExit as exit:
            code = exit.code if isinstance(exit.code, int) else 1
        finally:
            os._exit(code)
    status = wait(pid, time.monotonic() + request["wall"])
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
