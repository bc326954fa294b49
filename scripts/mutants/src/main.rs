//! Writes all changes that cargo-mutants lists into one copy of the sources, each behind its number, so that the tests are compiled once
//! and not once a change. A program built from it behaves as before, but for the change whose number stands in MUTANT.
//!
//! `mutants LIST SKIP SOURCES`: LIST is what `cargo mutants --list --json` prints, SKIP a file of numbers that can't be compiled, a line
//! each; the files below SOURCES are rewritten. Prints the numbers of those that it did not write, a line each.
//!
//! In the text, `/*[N*/ … /*]N*/` stands around the place of change N's site, and `/*<N*/ … /*>N*/` around change N itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
};

use proc_macro2::{LineColumn, Span};
use serde::Deserialize;
use syn::{
    Arm, Expr, ExprBinary, ExprStruct, ExprUnary, FieldValue,
    spanned::Spanned,
    visit::{self, Visit},
};

#[derive(Deserialize)]
struct Mutant {
    file: String,
    genre: String,
    replacement: String,
    span: MutantSpan,
}

#[derive(Deserialize)]
struct MutantSpan {
    start: Position,
}

#[derive(Deserialize)]
struct Position {
    line: usize,
    column: usize,
}

/// Changes of one file by where they begin: bytes from its start.
type Changes<'a> = HashMap<usize, Vec<(usize, &'a Mutant)>>;

/// What is written in place of `start..end`.
struct Site {
    start: usize,
    end: usize,
    /// Before the old text, and after it.
    before: String,
    after: String,
}

struct Rewriter<'a> {
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    changes: Changes<'a>,
    sites: Vec<Site>,
    written: HashSet<usize>,
}

impl Rewriter<'_> {
    fn at(&self, place: LineColumn) -> usize {
        let line = self.lines[place.line - 1];
        let rest = &self.text[line..];
        line + rest.char_indices().nth(place.column).map_or(rest.len(), |(at, _)| at)
    }

    fn range(&self, span: Span) -> (usize, usize) {
        (self.at(span.start()), self.at(span.end()))
    }

    /// The changes of a kind that begin there.
    fn of(&self, start: usize, genre: &str) -> Vec<(usize, String)> {
        let here = self.changes.get(&start).into_iter().flatten();
        here.filter(|(_, mutant)| mutant.genre == genre)
            .map(|(number, mutant)| (*number, mutant.replacement.clone()))
            .collect()
    }

    /// An expression that is another one where a change is on.
    fn choice(&mut self, (start, end): (usize, usize), others: Vec<(usize, String)>) {
        let Some(&(site, _)) = others.first() else { return };
        let mut before = format!("/*[{site}*/(match crate::mutant::at({site}) {{ ");
        for (number, text) in &others {
            before += &format!("{number} => /*<{number}*/{text}/*>{number}*/, ");
            self.written.insert(*number);
        }
        before += "_ => ";
        self.sites.push(Site { start, end, before, after: format!(" }})/*]{site}*/") });
    }

    fn insert(&mut self, place: usize, before: String) {
        self.sites.push(Site { start: place, end: place, before, after: String::new() });
    }

    /// Operators below a binary expression that are no expressions of their own in the text: its whole is written with each changed.
    fn operators(&self, expression: &ExprBinary, found: &mut Vec<(usize, usize, String)>) {
        let (start, _) = self.range(expression.op.span());
        found.extend(self.of(start, "BinaryOperator").into_iter().map(|(number, text)| (number, start, text)));
        for side in [&expression.left, &expression.right] {
            if let Expr::Binary(side) = &**side {
                self.operators(side, found);
            }
        }
    }

    /// Goes below the operands of a chain of operators.
    fn below(&mut self, expression: &ExprBinary) {
        for side in [&expression.left, &expression.right] {
            match &**side {
                Expr::Binary(side) => self.below(side),
                side => self.visit_expr(side),
            }
        }
    }

    /// An arm that a change deletes.
    fn deletable(&mut self, arm: &Arm) {
        let (start, _) = self.range(arm.span());
        if let Some((number, _)) = self.of(start, "MatchArm").first() {
            let site = format!(
                "/*[{number}*/(/*<{number}*/crate::mutant::at({number}) != {number}/*>{number}*/)/*]{number}*/"
            );
            self.written.insert(*number);
            match &arm.guard {
                Some((_, guard)) => {
                    let place = self.range(guard.span());
                    self.sites.push(Site {
                        start: place.0,
                        end: place.1,
                        before: format!("{site} && ("),
                        after: ")".to_owned(),
                    });
                }
                None => {
                    let (_, end) = self.range(arm.pat.span());
                    self.insert(end, format!(" if {site}"));
                }
            }
        }
    }

    /// The body of a function: it returns at once where it is replaced. What returns `impl Trait` returns one type alone.
    fn body(&mut self, signature: &syn::Signature, block: &syn::Block) {
        if matches!(&signature.output, syn::ReturnType::Type(_, of) if matches!(**of, syn::Type::ImplTrait(_))) {
            return;
        }
        let Some(first) = block.stmts.first() else { return };
        let (start, _) = self.range(first.span());
        let others = self.of(start, "FnValue");
        let Some(&(site, _)) = others.first() else { return };
        let mut text = format!("/*[{site}*/match crate::mutant::at({site}) {{ ");
        for (number, value) in others {
            text += &format!("{number} => return /*<{number}*/{value}/*>{number}*/, ");
            self.written.insert(number);
        }
        text += &format!("_ => {{}} }} /*]{site}*/");
        self.insert(start, text);
    }
}

/// Whether `let` stands in a chain of `&&`: such a chain is no expression that could stand elsewhere.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Rewriter<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.body(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.body(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.body(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_expr_binary(&mut self, expression: &'ast ExprBinary) {
        if has_let(&expression.left) || has_let(&expression.right) {
            // Its operands are visited, each as one of its own.
            return visit::visit_expr_binary(self, expression);
        }
        let (start, end) = self.range(expression.span());
        let mut operators = Vec::new();
        self.operators(expression, &mut operators);
        let with = |(number, at, text): &(usize, usize, String)| {
            let length = operator_length(&self.text[*at..]);
            (*number, format!("{}{text} {}", &self.text[start..*at], &self.text[at + length..end]))
        };
        let others = operators.iter().map(with).collect();
        self.choice((start, end), others);
        self.below(expression);
    }

    fn visit_expr_unary(&mut self, expression: &'ast ExprUnary) {
        let range = self.range(expression.span());
        let operand = self.range(expression.expr.span());
        let others = self.of(range.0, "UnaryOperator");
        let text = self.text[operand.0..operand.1].to_owned();
        self.choice(range, others.into_iter().map(|(number, _)| (number, text.clone())).collect());
        visit::visit_expr_unary(self, expression);
    }

    /// An arm that a condition may take away still counts as none for the compiler: only a last one that takes everything helps.
    fn visit_expr_match(&mut self, expression: &'ast syn::ExprMatch) {
        let takes_all = |arm: &Arm| match &arm.pat {
            syn::Pat::Wild(_) => arm.guard.is_none(),
            syn::Pat::Ident(name) => {
                arm.guard.is_none() && name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
            }
            _ => false,
        };
        if let Some((last, others)) = expression.arms.split_last()
            && takes_all(last)
        {
            others.iter().for_each(|arm| self.deletable(arm));
        }
        visit::visit_expr_match(self, expression);
    }

    fn visit_arm(&mut self, arm: &'ast Arm) {
        if let Some((_, guard)) = &arm.guard
            && !has_let(guard)
        {
            let range = self.range(guard.span());
            let others = self.of(range.0, "MatchArmGuard");
            self.choice(range, others);
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast ExprStruct) {
        if let Some(rest) = &expression.rest {
            let rest = self.range(rest.span());
            for field in &expression.fields {
                let FieldValue { member, expr, .. } = field;
                let (start, _) = self.range(field.span());
                let value = self.range(expr.span());
                let name = self.range(member.span());
                let others = self.of(start, "StructField");
                let text = format!("({}).{}", &self.text[rest.0..rest.1], &self.text[name.0..name.1]);
                if field.colon_token.is_none() && !others.is_empty() {
                    self.insert(start, format!("{}: ", &self.text[name.0..name.1]));
                }
                self.choice(value, others.into_iter().map(|(number, _)| (number, text.clone())).collect());
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

/// How long the operator is that a text begins with.
fn operator_length(text: &str) -> usize {
    let known =
        ["<<=", ">>=", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "+=", "-=", "*=", "/=", "%=", "^=", "&=", "|="];
    known.iter().find(|operator| text.starts_with(**operator)).map_or(1, |operator| operator.len())
}

/// The text with all sites written: what is within others is written within their old text.
fn written(text: &str, mut sites: Vec<Site>) -> String {
    // Outer ones first; at one place, what is inserted comes before what is replaced, and that in the order it was found.
    sites.sort_by_key(|site| (site.start, site.end != site.start, usize::MAX - site.end));
    let mut pieces: BTreeMap<usize, (String, String)> = BTreeMap::new();
    for site in &sites {
        pieces.entry(site.start).or_default().1.push_str(&site.before);
        if !site.after.is_empty() {
            let ends = &mut pieces.entry(site.end).or_default().0;
            ends.insert_str(0, &site.after);
        }
    }
    let mut result = String::new();
    let mut from = 0;
    for (place, (ends, begins)) in pieces {
        result.push_str(&text[from..place]);
        result.push_str(&ends);
        result.push_str(&begins);
        from = place;
    }
    result.push_str(&text[from..]);
    result
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [list, skip, sources] = &arguments[..] else { panic!("usage: mutants LIST SKIP SOURCES") };
    let mutants: Vec<Mutant> = serde_json::from_str(&read(list)).unwrap_or_else(|e| panic!("{list}: {e}"));
    let number = |line: &str| line.parse().unwrap_or_else(|e| panic!("{skip}: {line}: {e}"));
    let skip: HashSet<usize> = read(skip).lines().map(number).collect();
    // 0 is none.
    let numbered = || mutants.iter().enumerate().map(|(i, mutant)| (i + 1, mutant));
    let mut left: HashSet<usize> = numbered().map(|(number, _)| number).collect();
    let files: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.file.as_str()).collect();
    for file in files {
        let path = format!("{sources}/{file}");
        let text = read(&path);
        let lines: Vec<usize> = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut rewriter =
            Rewriter { text: &text, lines, changes: HashMap::new(), sites: Vec::new(), written: HashSet::new() };
        for (number, mutant) in numbered().filter(|(number, mutant)| mutant.file == file && !skip.contains(number)) {
            let start = LineColumn { line: mutant.span.start.line, column: mutant.span.start.column - 1 };
            let start = rewriter.at(start);
            rewriter.changes.entry(start).or_default().push((number, mutant));
        }
        rewriter.visit_file(&syn::parse_file(&text).unwrap_or_else(|e| panic!("{path}: {e}")));
        left = &left - &rewriter.written;
        fs::write(&path, written(&text, rewriter.sites)).unwrap_or_else(|e| panic!("{path}: {e}"));
    }
    let mut left: Vec<usize> = left.into_iter().collect();
    left.sort_unstable();
    left.iter().for_each(|number| println!("{number}"));
}
