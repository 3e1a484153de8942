//! One page of each language, for the tests.

use super::SourceKind;
use crate::language::Language;

const RUST: &str = "\
//! About the file.
use std::fmt;

/// How many.
pub const LIMIT: usize = 3;

/// A store.
#[derive(Debug)]
pub struct Store<T> {
    items: Vec<T>,
}

impl<T: Clone> Store<T> {
    /// Finds one.
    ///
    /// Slowly.
    #[must_use]
    pub fn find(&self, at: usize) -> Option<&T> {
        fn inner(n: usize) -> usize { n + 1 }
        self.items.get(inner(at))
    }

    pub fn len(&self) -> usize { self.items.len() }
}

// Not documentation.

pub trait Shape {
    type Unit;
    fn area(&self) -> f64;
}

impl<T> fmt::Display for Store<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, \"store\") }
}

enum Kind { A, B }

macro_rules! twice { ($x:expr) => { $x + $x }; }

mod tests {
    #[test]
    fn finds() { assert!(super::LIMIT > 2); }
}
";

const PYTHON: &str = "\
\"\"\"About the file.\"\"\"
import os

LIMIT: int = 3


# Greets.
def greet(name):
    return \"hi \" + name


@decorated(
    twice=True,
)
class Store(Base):
    \"\"\"A store of things.\"\"\"

    kind = \"store\"

    def __init__(self, items):
        self.items = items

    @property
    async def first(self):
        '''The first one.

        Or none.
        '''
        def pick(xs):
            local = xs[0]
            return local
        return pick(self.items)
";

const JAVASCRIPT: &str = "\
'use strict';
import x from './x.js';
const LIMIT = 3, OTHER = 4;

/** Doubles. */
export const twice = (n) => {
  const local = n * 2;
  return local;
};

/**
 * A store.
 */
export default class Store extends Base {
  #items = [];
  static size = 3;
  // Finds one.
  find(at) { return this.#items[at]; }
  get first() { return this.find(0); }
}

function* all() { yield 1; }

Store.prototype.last = function () { return this.find(-1); };
module.exports = { handler: function (event) { return event; }, LIMIT };
";

const TYPESCRIPT: &str = "\
import type { P } from './p';
export type Id = string | number;
/** What has an area. */
export interface Shape { area(): number; name: string }
export enum Color { Red, Green }
declare function load(path: string): Promise<void>;
namespace Deep.Inner {
  export function f(): void {}
}
export abstract class Store<T> {
  private limit: number = 3;
  constructor(private readonly items: T[]) {}
  abstract size(): number;
  find = (at: number): T | undefined => this.items[at];
}
";

const TSX: &str = "\
export function View({ name }: Props) {
  return <p title={name}>{name}</p>;
}
const Memo: FC = memo(View);
";

const GO: &str = "\
// Package p is about p.
package p

import \"errors\"

// Errors of the store.
var (
\tErrGone = errors.New(\"gone\")
\tErrFull = errors.New(\"full\")
)

const limit = 3

// Store stores.
type Store[K comparable, V any] struct {
\titems map[K]V
}

type (
\tID int
\t// Finder finds.
\tFinder interface{ Find(id ID) error }
)

// Find finds.
func (s *Store[K, V]) Find(key K) (V, error) {
\tvalue := s.items[key]
\treturn value, nil
}

func open() error { return ErrGone }
";

const JAVA: &str = "\
package a.b;

import java.util.List;

/** A store. */
@Entity
public class Store<T> extends Base {
    private static final int LIMIT = 3, OTHER = 4;

    /** Makes one. */
    public Store(List<T> items) { this.items = items; }

    @Override
    public T find(int at) {
        int local = at + 1;
        return items.get(local);
    }

    interface Visitor { void visit(int n); }
    enum Color { RED, GREEN; Color next() { return RED; } }
    record Pair(int a, int b) { }
}
";

const CPP: &str = "\
#ifndef STORE_H
#define STORE_H
#include <vector>
#define LIMIT 3
#define TWICE(x) ((x) + (x))

namespace store {
namespace a::b { int deep(); }

/// A store.
template <typename T>
class Store : public Base {
 public:
  Store();
  ~Store() {}
  T find(int at) const;
  bool operator==(const Store& other) const { return true; }
 private:
  int limit_ = 3;
};

enum class Color { Red, Green };
using Id = unsigned long;
}  // namespace store

template <typename T>
T store::Store<T>::find(int at) const {
  int local = at;
  return items_[local];
}

extern \"C\" {
int c_api(const char *path);
}
#endif
";

const C: &str = "\
#include <stdio.h>

typedef struct point { int x, y; } point_t;
struct list { struct list *next; };
static const char *names[] = { \"a\", \"b\" };

/* Adds. */
static int *add(int a, struct list *l)
{
    int sum = a;
    return &sum;
}
";

pub(super) const MARKDOWN: &str = "\
Before anything.

# The *title*

Some words.

## Install

```sh
# not a heading
make install
```

### From source

Build it.

Usage
-----

Run it.
";

pub(super) const CODE: [(&str, Language, &str); 9] = [
    ("Rust", Language::Rust, RUST),
    ("Python", Language::Python, PYTHON),
    ("JavaScript", Language::JavaScript, JAVASCRIPT),
    ("TypeScript", Language::TypeScript, TYPESCRIPT),
    ("TSX", Language::Tsx, TSX),
    ("Go", Language::Go, GO),
    ("Java", Language::Java, JAVA),
    ("C++", Language::Cpp, CPP),
    ("C", Language::Cpp, C),
];

pub(super) fn sources() -> Vec<(SourceKind, &'static str)> {
    let code = CODE.iter().map(|(_, language, text)| (SourceKind::Code(*language), *text));
    code.chain([(SourceKind::Markdown, MARKDOWN)]).collect()
}
