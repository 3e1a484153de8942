// From test ids to the tree that the Test Explorer shows.

/**
 * The names on the way to a test, the file or package first. Ids are those of the runners:
 * `t/test_a.py::TestA::test_b[1]`, `a.test.js::suite > case`, `./p::TestTotal/empty`,
 * `my-crate::module::works`.
 */
export function segments(id: string): string[] {
  const cut = id.indexOf("::");
  if (cut < 0) {
    return [id];
  }
  const head = id.slice(0, cut);
  const rest = id.slice(cut + 2);
  if (head.startsWith(".")) {
    return [head, ...rest.split("/")];
  }
  if (/\.[cm]?[jt]sx?$/.test(head)) {
    return [head, ...rest.split(" > ")];
  }
  // Parameters in brackets may hold anything.
  const bracket = rest.indexOf("[");
  const name = bracket < 0 ? rest : rest.slice(0, bracket);
  const names = name.split("::");
  names[names.length - 1] += bracket < 0 ? "" : rest.slice(bracket);
  return [head, ...names];
}

export interface Node {
  /** Unique among its siblings. */
  name: string;
  /** The whole way, unique in the root. VS Code keeps the sign 0 for itself. */
  key: string;
  /** The test that it is, besides what is below. */
  test?: string;
  children: Map<string, Node>;
}

/** The tests of a root as a tree. */
export function tree(ids: Iterable<string>): Node {
  const top: Node = { name: "", key: "", children: new Map() };
  for (const id of ids) {
    let node = top;
    for (const name of segments(id)) {
      let next = node.children.get(name);
      if (!next) {
        next = { name, key: `${node.key}\u001f${name}`, children: new Map() };
        node.children.set(name, next);
      }
      node = next;
    }
    node.test = id;
  }
  return top;
}

/** The tests at and below a node. */
export function testsBelow(node: Node): string[] {
  const below = [...node.children.values()].flatMap(testsBelow);
  return node.test === undefined ? below : [node.test, ...below];
}
