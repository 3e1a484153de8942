//! What variants of a Python function do with inputs beyond those of the tests.

use std::time::{Duration, Instant};

use greenlit_runner::{ProbeTarget, Probes};

use crate::support::{LONG, Workspace, ids};

/// Probes `function` of `lib.py` with each of `variants` as its text.
fn probe(
    workspace: &Workspace,
    function: &str,
    variants: &[&str],
    tests: &[&str],
    wall: Duration,
) -> Option<Probes> {
    let project = workspace.project();
    let target = ProbeTarget { path: workspace.path("lib.py"), function: function.to_owned() };
    let variants: Vec<_> =
        variants.iter().map(|text| workspace.writes(&[("lib.py", text)])).collect();
    project.probe(workspace.sandbox(&project), &target, &variants, &ids(tests), wall).unwrap()
}

fn outcomes(probes: &Probes, variant: usize) -> &[String] {
    probes.outcomes[variant].as_deref().expect("the variant was run")
}

#[test]
fn pytest_variants_that_differ_beyond_the_tests_are_told_apart() {
    let original = "def clamp(x, low, high):\n    return x\n";
    let workspace = Workspace::python(&[
        ("lib.py", original),
        (
            "test_lib.py",
            "from lib import clamp\n\n\ndef test_high():\n    assert clamp(12, 0, 10) == 10\n\n\ndef test_in():\n    assert clamp(5, low=0, high=10) == 5\n",
        ),
    ]);
    let right = "def clamp(x, low, high):\n    return max(low, min(x, high))\n";
    let same = "def clamp(x, low, high):\n    if x > high:\n        x = high\n    return low if x < low else x\n";
    let narrow = "def clamp(x, low, high):\n    return min(x, high)\n";
    let constant = "def clamp(x, low, high):\n    return 10 if x > 10 else x\n";
    let broken = "def clamp(x, low, high:\n";
    let gone = "def other():\n    pass\n";
    let probes = probe(
        &workspace,
        "clamp",
        &[right, same, narrow, constant, broken, gone],
        &["test_lib.py::test_high", "test_lib.py::test_in"],
        LONG,
    )
    .unwrap();
    assert!(probes.inputs >= 20, "{probes:?}");
    assert_eq!(outcomes(&probes, 0).len(), usize::try_from(probes.inputs).unwrap());
    assert_eq!(outcomes(&probes, 0)[0], outcomes(&probes, 2)[0], "what the test itself passes");
    // Swapped bounds tell `same` and `right` apart; elsewhere they agree.
    let differ = |a: usize, b: usize| {
        outcomes(&probes, a).iter().zip(outcomes(&probes, b)).filter(|(a, b)| a != b).count()
    };
    assert!(differ(0, 2) > 0 && differ(0, 3) > 0 && differ(2, 3) > 0, "{probes:?}");
    assert!(differ(0, 1) <= differ(0, 3), "{probes:?}");
    assert_eq!(probes.outcomes[4], None);
    assert_eq!(probes.outcomes[5], None);
}

#[test]
fn pytest_probes_see_errors_changed_arguments_methods_generators_and_coroutines() {
    let cases = [
        // (function, text, another text that behaves otherwise, the test)
        (
            "pick",
            "def pick(xs):\n    return xs[0]\n",
            "def pick(xs):\n    return xs[0] if xs else None\n",
            "from lib import pick\n\ndef test_it():\n    assert pick([3, 1]) == 3\n",
        ),
        (
            "tidy",
            "def tidy(xs):\n    return sorted(xs)\n",
            "def tidy(xs):\n    xs.sort()\n    return list(xs)\n",
            "from lib import tidy\n\ndef test_it():\n    assert tidy([3, 1]) == [1, 3]\n",
        ),
        (
            "Stack.push",
            "class Stack:\n    def __init__(self):\n        self.items = [1]\n\n    def push(self, x):\n        self.items.append(x)\n",
            "class Stack:\n    def __init__(self):\n        self.items = [1]\n\n    def push(self, x):\n        self.items.insert(0, x)\n",
            "from lib import Stack\n\ndef test_it():\n    s = Stack()\n    s.push(2)\n    assert s.items\n",
        ),
        (
            "Shop.price",
            "class Shop:\n    rate = 2\n\n    @classmethod\n    def price(cls, *parts, off=0):\n        return sum(parts) * cls.rate - off\n",
            "class Shop:\n    rate = 2\n\n    @classmethod\n    def price(cls, *parts, off=0):\n        return sum(parts) * 2 + off\n",
            "from lib import Shop\n\ndef test_it():\n    assert Shop.price(1, 2) == 6\n",
        ),
        (
            "count",
            "def count(n):\n    while n:\n        yield n\n        n -= 1\n",
            "def count(n):\n    while n > 0:\n        yield n\n        n -= 1\n",
            "from lib import count\n\ndef test_it():\n    assert list(count(2)) == [2, 1]\n",
        ),
        (
            "later",
            "async def later(n):\n    return n\n",
            "async def later(n):\n    return abs(n)\n",
            "import asyncio\nfrom lib import later\n\ndef test_it():\n    assert asyncio.run(later(2)) == 2\n",
        ),
        (
            "cached",
            "import functools\n\n@functools.lru_cache\ndef cached(n):\n    return n + 1\n",
            "import functools\n\n@functools.lru_cache\ndef cached(n):\n    return 3\n",
            "from lib import cached\n\ndef test_it():\n    assert cached(2) == 3\n",
        ),
    ];
    for (function, one, two, test) in cases {
        let workspace = Workspace::python(&[("lib.py", one), ("test_lib.py", test)]);
        let tests = ["test_lib.py::test_it"];
        let probes = probe(&workspace, function, &[one, one, two], &tests, LONG)
            .unwrap_or_else(|| panic!("{function}"));
        assert!(probes.inputs > 1, "{function}: {probes:?}");
        assert_eq!(outcomes(&probes, 0), outcomes(&probes, 1), "{function}");
        assert_ne!(outcomes(&probes, 0), outcomes(&probes, 2), "{function}");
    }
}

#[test]
fn pytest_probes_drop_inputs_whose_outcome_is_chance_and_normalize_the_rest() {
    let random = "import random\n\ndef f(n):\n    return random.random() if n > 2 else n\n";
    let objects = "class Box:\n    pass\n\ndef f(n):\n    box = Box()\n    box.held = [object(), {'b', 'a', str(n)}, f]\n    return box\n";
    let test = "from lib import f\n\ndef test_it():\n    f(2)\n";
    let workspace = Workspace::python(&[("lib.py", random), ("test_lib.py", test)]);
    let tests = ["test_lib.py::test_it"];
    let probes = probe(&workspace, "f", &[random, objects, objects], &tests, LONG).unwrap();
    let all = probe(&workspace, "f", &[objects], &tests, LONG).unwrap();
    assert!(probes.inputs < all.inputs && probes.inputs > 0, "{probes:?} {all:?}");
    assert_eq!(outcomes(&probes, 1), outcomes(&probes, 2));
}

#[test]
fn pytest_probes_survive_variants_that_hang_exit_lie_or_flood() {
    let fine = "def f(n):\n    return n\n";
    let hang = "def f(n):\n    while n < 0:\n        try:\n            pass\n        except:\n            pass\n    return n\n";
    let exit = "import os\n\ndef f(n):\n    if n == 0:\n        os._exit(0)\n    return n\n";
    // Writes what it likes into the report of its own process.
    let lie = "import os\n\ndef f(n):\n    for fd in range(3, 60):\n        try:\n            os.write(fd, b'{\"e\":\"probe\",\"input\":99999999,\"outcome\":\"x\",\"stable\":true}\\n{\"e\":\"probe\",\"input\":0,\"outcome\":\"' + b'x' * 100000 + b'\",\"stable\":true}\\n[')\n        except OSError:\n            pass\n    return n\n";
    let always = "import os\n\ndef f(n):\n    os.kill(os.getppid(), 9)\n    os._exit(1)\n";
    let test = "from lib import f\n\ndef test_it():\n    f(2)\n";
    let workspace = Workspace::python(&[("lib.py", fine), ("test_lib.py", test)]);
    let tests = ["test_lib.py::test_it"];
    let variants = [fine, hang, exit, lie, always, fine];
    let started = Instant::now();
    let probes = probe(&workspace, "f", &variants, &tests, Duration::from_secs(120)).unwrap();
    assert!(started.elapsed() < Duration::from_secs(150), "{:?}", started.elapsed());
    assert!(outcomes(&probes, 1).contains(&"timeout".to_owned()), "{probes:?}");
    assert!(outcomes(&probes, 2).contains(&"ends the process".to_owned()), "{probes:?}");
    assert_eq!(probes.outcomes[4], None, "{probes:?}");
    assert_eq!(outcomes(&probes, 0), outcomes(&probes, 5));
    let longest = probes.outcomes.iter().flatten().flatten().map(String::len).max();
    assert!(longest.unwrap() <= 40, "{probes:?}");
}

#[test]
fn pytest_functions_that_cannot_be_probed_are_declined() {
    let text = "import math\n\ndef outer(n):\n    def inner(m):\n        return m\n    return inner(n)\n\ndef unused(n):\n    return n\n\ndef apply(call):\n    return call()\n\nroot = math.sqrt\n";
    let test =
        "from lib import *\n\ndef test_it():\n    outer(2)\n    apply(lambda: 1)\n    root(4)\n";
    let workspace = Workspace::python(&[("lib.py", text), ("test_lib.py", test)]);
    let tests = ["test_lib.py::test_it"];
    for function in
        ["outer.<locals>.inner", "outer.inner", "unused", "apply", "root", "nowhere", ""]
    {
        assert_eq!(probe(&workspace, function, &[text], &tests, LONG), None, "{function}");
    }
    assert_eq!(probe(&workspace, "outer", &[text], &[], LONG), None);
    assert_eq!(probe(&workspace, "outer", &[text], &["test_lib.py::test_gone"], LONG), None);
}

#[test]
fn pytest_inputs_are_recorded_from_a_test_that_hangs() {
    let text = "def f(n):\n    while n:\n        pass\n    return n\n";
    let fixed = "def f(n):\n    return n\n";
    let test = "from lib import f\n\ndef test_it():\n    f(2)\n";
    let workspace = Workspace::python(&[("lib.py", text), ("test_lib.py", test)]);
    let probes =
        probe(&workspace, "f", &[text, fixed], &["test_lib.py::test_it"], Duration::from_secs(60))
            .unwrap();
    assert_eq!(outcomes(&probes, 0)[0], "timeout", "{probes:?}");
    assert!(outcomes(&probes, 1).iter().all(|outcome| outcome.starts_with("returns ")));
}
