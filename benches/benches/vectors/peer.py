"""usearch on one thread: sys.argv is vectors, queries, values per vector, k."""

import json
import sys
import time

import numpy
from usearch.index import Index


def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


dims, k = int(sys.argv[3]), int(sys.argv[4])
vectors = numpy.fromfile(sys.argv[1], dtype="<f4").reshape(-1, dims)
queries = numpy.fromfile(sys.argv[2], dtype="<f4").reshape(-1, dims)
before = resident()
index = Index(ndim=dims, metric="ip", dtype="f32", connectivity=16, expansion_add=128)
started = time.perf_counter()
for first in range(0, len(vectors), 1000):
    part = vectors[first : first + 1000]
    index.add(numpy.arange(first, first + len(part)), part, threads=1)
seconds = time.perf_counter() - started
searches = []
for width in (32, 64, 96, 128, 256):
    index.expansion_search = width
    found, times = [], []
    for query in queries:
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            matches = index.search(query, k, threads=1)
            runs.append(1000 * (time.perf_counter() - started))
        times.append(min(runs))
        found.append([int(key) for key in matches.keys])
    searches.append({"width": width, "found": found, "times": times})
bytes_each = (resident() - before) // len(vectors)
print(json.dumps({"seconds": seconds, "bytes": bytes_each, "searches": searches}))
