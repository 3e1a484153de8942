"""LanceDB: sys.argv is a file of texts (a JSON string per line), a file of vectors (little-endian
f32), values per vector, a file of query vectors, and a directory for the database."""

import json
import os
import sys
import time

import lancedb
import numpy
import pyarrow

TEXTS, VECTORS, DIMS, QUERIES, PLACE = sys.argv[1:6]
WORDS = ["parse http header", "read the next line", "hash map insert", "connection closed error"]
K = 10


def size(place):
    found = (os.path.join(at, name) for at, _, names in os.walk(place) for name in names)
    return sum(os.stat(path).st_blocks * 512 for path in found)


def measure(search, questions):
    times = []
    for question in questions:
        runs = []
        for _ in range(3):
            started = time.perf_counter()
            search(question)
            runs.append(1000 * (time.perf_counter() - started))
        times.append(min(runs))
    times.sort()
    return {"p50_ms": times[len(times) // 2], "p99_ms": times[int((len(times) - 1) * 0.99)]}


dims = int(DIMS)
vectors = numpy.fromfile(VECTORS, dtype="<f4").reshape(-1, dims)
queries = numpy.fromfile(QUERIES, dtype="<f4").reshape(-1, dims)
with open(TEXTS, encoding="utf-8") as file:
    texts = [json.loads(line) for line in file]
assert len(texts) == len(vectors), (len(texts), len(vectors))
started = time.perf_counter()
column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), dims)
table = pyarrow.table({"id": numpy.arange(len(texts)), "text": texts, "vector": column})
database = lancedb.connect(PLACE)
chunks = database.create_table("chunks", data=table)
said = {"rows": len(texts), "load_s": time.perf_counter() - started, "plain_bytes": size(PLACE)}
near = ["id", "_distance"]
nearest = lambda query: chunks.search(query).metric("cosine").select(near).limit(K).to_list()
right = [{row["id"] for row in nearest(query)} for query in queries]
said["exact"] = {"recall": 1.0} | measure(nearest, queries)
started = time.perf_counter()
chunks.create_index(metric="cosine", vector_column_name="vector", index_type="IVF_HNSW_SQ")
said["vector_index_s"] = time.perf_counter() - started
said["vector_index_bytes"] = size(PLACE) - said["plain_bytes"]
hits = sum(len(want & {row["id"] for row in nearest(q)}) for want, q in zip(right, queries))
recall = hits / max(1, sum(map(len, right)))
said["graph"] = {"recall": recall} | measure(nearest, queries)
before = size(PLACE)
started = time.perf_counter()
chunks.create_fts_index("text", use_tantivy=False)
said["words_index_s"] = time.perf_counter() - started
said["words_index_bytes"] = size(PLACE) - before
held = ["id", "_score"]
by_words = lambda words: chunks.search(words, query_type="fts").select(held).limit(K).to_list()
said["words"] = {"recall": None} | measure(by_words, WORDS * 25)
said["bytes"] = size(PLACE)
print(json.dumps(said))
