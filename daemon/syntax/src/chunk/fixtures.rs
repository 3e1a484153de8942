//! One page of each language: its definitions and its chunks.

use insta::assert_snapshot;

use super::pages::{CODE, MARKDOWN};
use super::properties::{check, count};
use super::{SourceKind, chunks, symbols};

fn defined(kind: SourceKind, text: &str) -> String {
    let mut shown = String::new();
    for s in symbols(text, kind).unwrap() {
        let doc = super::outline::plain(text, &s.doc).replace('\n', " / ");
        let doc = if doc.is_empty() { doc } else { format!(" -- {doc}") };
        let path = s.path.join(".");
        let (kind, signature) = (s.kind.name(), &s.signature);
        shown.push_str(&format!("{:?} {kind} {path}: {signature}{doc}\n", s.lines));
    }
    shown
}

fn divided(kind: SourceKind, text: &str, budget: usize) -> String {
    let found = chunks(text, kind, budget, &count).unwrap();
    check(text, kind, budget, &found);
    let mut shown = String::new();
    for c in found {
        let continued = if c.continued { "+" } else { "" };
        let lines: Vec<&str> = text[c.bytes.clone()].lines().collect();
        shown.push_str(&format!(
            "{:?} {}{continued} {} [{}] {} .. {}\n",
            c.lines,
            c.kind.name(),
            c.symbol.join("."),
            c.defines.join(" "),
            lines[0].trim(),
            lines[lines.len() - 1].trim(),
        ));
    }
    shown
}

#[test]
fn definitions_have_paths_kinds_signatures_and_descriptions() {
    let mut shown = String::new();
    for (name, language, text) in CODE {
        shown.push_str(&format!("{name}\n{}", defined(SourceKind::Code(language), text)));
    }
    shown.push_str(&format!("Markdown\n{}", defined(SourceKind::Markdown, MARKDOWN)));
    assert_snapshot!(shown, @r##"
    Rust
    4..5 variable LIMIT: pub const LIMIT: usize = 3; -- How many.
    8..11 class Store: pub struct Store<T> -- A store.
    12..24 class Store: impl<T: Clone> Store<T>
    17..21 method Store.find: pub fn find(&self, at: usize) -> Option<&T> -- Finds one. /  / Slowly.
    18..19 function Store.find.inner: fn inner(n: usize) -> usize
    22..23 method Store.len: pub fn len(&self) -> usize
    27..31 interface Shape: pub trait Shape
    28..29 type Shape.Unit: type Unit;
    29..30 method Shape.area: fn area(&self) -> f64;
    32..35 class Store: impl<T> fmt::Display for Store<T>
    33..34 method Store.fmt: fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result
    36..37 enum Kind: enum Kind
    38..39 macro twice: macro_rules! twice { ($x:expr) => { $x + $x }; }
    40..44 module tests: mod tests
    42..43 function tests.finds: fn finds()
    Python
    3..4 variable LIMIT: LIMIT: int = 3
    7..9 function greet: def greet(name): -- Greets.
    11..32 class Store: class Store(Base): -- A store of things.
    17..18 variable Store.kind: kind = "store"
    19..21 method Store.__init__: def __init__(self, items):
    22..32 method Store.first: async def first(self): -- The first one. /  / Or none.
    28..31 function Store.first.pick: def pick(xs):
    JavaScript
    2..3 variable LIMIT: LIMIT = 3
    2..3 variable OTHER: OTHER = 4
    5..9 function twice: twice = (n) => -- Doubles.
    13..20 class Store: class Store extends Base -- A store.
    14..15 variable Store.#items: #items = []
    15..16 variable Store.size: static size = 3
    17..18 method Store.find: find(at) -- Finds one.
    18..19 method Store.first: get first()
    21..22 function all: function* all()
    23..24 method Store.last: Store.prototype.last = function ()
    24..25 function handler: handler: function (event)
    TypeScript
    1..2 type Id: type Id = string | number;
    3..4 interface Shape: interface Shape -- What has an area.
    3..4 method Shape.area: area(): number
    4..5 enum Color: enum Color
    5..6 function load: function load(path: string): Promise<void>;
    6..9 module Deep.Inner: namespace Deep.Inner
    7..8 function Deep.Inner.f: function f(): void
    9..15 class Store: abstract class Store<T>
    10..11 variable Store.limit: private limit: number = 3
    11..12 method Store.constructor: constructor(private readonly items: T[])
    12..13 method Store.size: abstract size(): number
    13..14 method Store.find: find = (at: number): T | undefined =>
    TSX
    0..3 function View: function View({ name }: Props)
    3..4 variable Memo: Memo: FC = memo(View)
    Go
    7..8 variable ErrGone: ErrGone = errors.New("gone") -- Errors of the store.
    8..9 variable ErrFull: ErrFull = errors.New("full") -- Errors of the store.
    11..12 variable limit: limit = 3
    14..17 class Store: Store[K comparable, V any] struct -- Store stores.
    19..20 type ID: ID int
    21..22 interface Finder: Finder interface{ Find(id ID) error }
    25..29 method Store.Find: func (s *Store[K, V]) Find(key K) (V, error) -- Find finds.
    30..31 function open: func open() error
    Java
    5..22 class Store: @Entity public class Store<T> extends Base -- A store.
    7..8 variable Store.LIMIT: LIMIT = 3
    7..8 variable Store.OTHER: OTHER = 4
    10..11 method Store.Store: public Store(List<T> items) -- Makes one.
    12..17 method Store.find: @Override public T find(int at)
    18..19 interface Store.Visitor: interface Visitor
    18..19 method Store.Visitor.visit: void visit(int n);
    19..20 enum Store.Color: enum Color
    19..20 method Store.Color.next: Color next()
    20..21 class Store.Pair: record Pair(int a, int b)
    C++
    1..2 macro STORE_H: #define STORE_H
    3..4 macro LIMIT: #define LIMIT 3
    4..5 macro TWICE: #define TWICE(x) ((x) + (x))
    6..24 module store: namespace store
    7..8 module store.a.b: namespace a::b
    7..8 function store.a.b.deep: int deep();
    10..20 class store.Store: class Store : public Base -- A store.
    13..14 method store.Store.Store: Store();
    14..15 method store.Store.~Store: ~Store()
    15..16 method store.Store.find: T find(int at) const;
    16..17 method store.Store.operator==: bool operator==(const Store& other) const
    18..19 variable store.Store.limit_: int limit_ = 3;
    21..22 enum store.Color: enum class Color
    22..23 type store.Id: using Id = unsigned long;
    25..30 method store.Store.find: T store::Store<T>::find(int at) const
    32..33 function c_api: int c_api(const char *path);
    C
    2..3 type point_t: typedef struct point { int x, y; } point_t;
    3..4 class list: struct list
    3..4 variable list.next: struct list *next;
    4..5 variable names: static const char *names[] = { "a", "b" };
    7..12 function add: static int *add(int a, struct list *l) -- Adds.
    Markdown
    2..21 section The *title*: # The *title*
    6..17 section The *title*.Install: ## Install
    13..17 section The *title*.Install.From source: ### From source
    17..21 section The *title*.Usage: Usage
    "##);
}

#[test]
fn chunks_follow_definitions() {
    let mut shown = String::new();
    for (name, language, text) in CODE {
        shown.push_str(&format!("{name}\n{}", divided(SourceKind::Code(language), text, 96)));
    }
    shown.push_str(&format!("Markdown\n{}", divided(SourceKind::Markdown, MARKDOWN, 24)));
    assert_snapshot!(shown, @r##"
    Rust
    0..2 code  [] //! About the file. .. use std::fmt;
    3..5 variable LIMIT [LIMIT] /// How many. .. pub const LIMIT: usize = 3;
    6..11 class Store [Store] /// A store. .. }
    12..13 class Store [Store] impl<T: Clone> Store<T> { .. impl<T: Clone> Store<T> {
    13..21 method Store.find [find inner] /// Finds one. .. }
    22..24 method Store.len [len] pub fn len(&self) -> usize { self.items.len() } .. }
    25..26 code  [] // Not documentation. .. // Not documentation.
    27..31 interface Shape [Shape Unit area] pub trait Shape { .. }
    32..33 class Store [Store] impl<T> fmt::Display for Store<T> { .. impl<T> fmt::Display for Store<T> {
    33..35 method Store.fmt [fmt] fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "store") } .. }
    36..37 enum Kind [Kind] enum Kind { A, B } .. enum Kind { A, B }
    38..39 macro twice [twice] macro_rules! twice { ($x:expr) => { $x + $x }; } .. macro_rules! twice { ($x:expr) => { $x + $x }; }
    40..44 module tests [tests finds] mod tests { .. }
    Python
    0..4 code  [LIMIT] """About the file.""" .. LIMIT: int = 3
    6..9 function greet [greet] # Greets. .. return "hi " + name
    11..32 class Store [Store kind __init__ first pick] @decorated( .. return pick(self.items)
    JavaScript
    0..3 code  [LIMIT OTHER] 'use strict'; .. const LIMIT = 3, OTHER = 4;
    4..9 function twice [twice] /** Doubles. */ .. };
    10..20 class Store [Store #items size find first] /** .. }
    21..22 function all [all] function* all() { yield 1; } .. function* all() { yield 1; }
    23..24 method Store.last [last] Store.prototype.last = function () { return this.find(-1); }; .. Store.prototype.last = function () { return this.find(-1); };
    24..25 function handler [handler] module.exports = { handler: function (event) { return event; }, LIMIT }; .. module.exports = { handler: function (event) { return event; }, LIMIT };
    TypeScript
    0..2 type Id [Id] import type { P } from './p'; .. export type Id = string | number;
    2..4 interface Shape [Shape area] /** What has an area. */ .. export interface Shape { area(): number; name: string }
    4..5 enum Color [Color] export enum Color { Red, Green } .. export enum Color { Red, Green }
    5..6 function load [load] declare function load(path: string): Promise<void>; .. declare function load(path: string): Promise<void>;
    6..9 module Deep.Inner [Inner f] namespace Deep.Inner { .. }
    9..15 class Store [Store limit constructor size find] export abstract class Store<T> { .. }
    TSX
    0..3 function View [View] export function View({ name }: Props) { .. }
    3..4 variable Memo [Memo] const Memo: FC = memo(View); .. const Memo: FC = memo(View);
    Go
    0..12 code  [ErrGone ErrFull limit] // Package p is about p. .. const limit = 3
    13..17 class Store [Store] // Store stores. .. }
    18..23 code  [ID Finder] type ( .. )
    24..29 method Store.Find [Find] // Find finds. .. }
    30..31 function open [open] func open() error { return ErrGone } .. func open() error { return ErrGone }
    Java
    0..3 import  [] package a.b; .. import java.util.List;
    4..8 class Store [Store LIMIT OTHER] /** A store. */ .. private static final int LIMIT = 3, OTHER = 4;
    9..11 method Store.Store [Store] /** Makes one. */ .. public Store(List<T> items) { this.items = items; }
    12..17 method Store.find [find] @Override .. }
    18..19 interface Store.Visitor [Visitor visit] interface Visitor { void visit(int n); } .. interface Visitor { void visit(int n); }
    19..20 enum Store.Color [Color next] enum Color { RED, GREEN; Color next() { return RED; } } .. enum Color { RED, GREEN; Color next() { return RED; } }
    20..22 class Store.Pair [Pair] record Pair(int a, int b) { } .. }
    C++
    0..4 code  [STORE_H LIMIT] #ifndef STORE_H .. #define LIMIT 3
    4..5 macro TWICE [TWICE] #define TWICE(x) ((x) + (x)) .. #define TWICE(x) ((x) + (x))
    6..8 module store.a.b [store b deep] namespace store { .. namespace a::b { int deep(); }
    9..20 class store.Store [Store Store ~Store find operator== limit_] /// A store. .. };
    21..24 module+ store [Color Id] enum class Color { Red, Green }; .. }  // namespace store
    25..30 method store.Store.find [find] template <typename T> .. }
    31..32 code  [] extern "C" { .. extern "C" {
    32..35 function c_api [c_api] int c_api(const char *path); .. #endif
    C
    0..1 import  [] #include <stdio.h> .. #include <stdio.h>
    2..3 type point_t [point_t] typedef struct point { int x, y; } point_t; .. typedef struct point { int x, y; } point_t;
    3..4 class list [list next] struct list { struct list *next; }; .. struct list { struct list *next; };
    4..5 variable names [names] static const char *names[] = { "a", "b" }; .. static const char *names[] = { "a", "b" };
    6..12 function add [add] /* Adds. */ .. }
    Markdown
    0..1 text  [] Before anything. .. Before anything.
    2..5 section The *title* [The *title*] # The *title* .. Some words.
    6..12 section The *title*.Install [Install] ## Install .. ```
    13..16 section The *title*.Install.From source [From source] ### From source .. Build it.
    17..21 section The *title*.Usage [Usage] Usage .. Run it.
    "##);
}
