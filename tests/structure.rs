//! The order of the house, read from the `use` lines and paths of `src/`: no files take from each other in a circle, and no folder
//! takes from one that stands above it, or beside it, in docs/design.md. And where the crate is unsafe.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

/// A file of `src/` as a path of modules: `client::sse`, `client` for `client/mod.rs`, nothing for `lib.rs`.
type Module = Vec<String>;

/// What a file takes from the rest of the crate.
#[derive(Default)]
struct File {
    /// Paths from the crate's root, as they are written: `client::Api`.
    paths: Vec<Module>,
    /// Names that it passes on, and where they come from: `Api` from `client::request::Api`.
    passed_on: BTreeMap<String, Module>,
    has_unsafe: bool,
}

/// Collects the paths of one file, without those of its tests.
struct Reader {
    module: Module,
    file: File,
}

impl Reader {
    /// A path from the crate's root; `None` where it leads out of the crate.
    fn resolve(&self, path: &[String]) -> Option<Module> {
        let mut here = self.module.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => (here, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {}
            _ => return None,
        }
        while rest.first().is_some_and(|name| name == "super") {
            here.pop();
            rest = &rest[1..];
        }
        here.extend(rest.iter().cloned());
        Some(here)
    }

    fn take(&mut self, tree: &UseTree, before: &[String], passed_on: bool) {
        let with = |name: &dyn ToString| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.take(&path.tree, &with(&path.ident), passed_on),
            UseTree::Name(name) => self.add(with(&name.ident), &name.ident.to_string(), passed_on),
            UseTree::Rename(name) => self.add(with(&name.ident), &name.rename.to_string(), passed_on),
            UseTree::Glob(_) => self.add(before.to_vec(), "*", passed_on),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.take(tree, before, passed_on)),
        }
    }

    fn add(&mut self, mut path: Vec<String>, name: &str, passed_on: bool) {
        if !matches!(path[0].as_str(), "crate" | "self" | "super") {
            // `pub use request::Api` in client/mod.rs; of another crate it leads nowhere but to this file.
            path.insert(0, "self".to_owned());
        }
        let Some(path) = self.resolve(&path) else { return };
        match passed_on {
            true => _ = self.file.passed_on.insert(name.to_owned(), path),
            false => self.file.paths.push(path),
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let words = attribute.meta.require_list().map(|list| list.tokens.to_string());
        attribute.path().is_ident("cfg") && words.is_ok_and(|words| words == "test" || words == "fuzzing")
    })
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        // What stands in the file itself belongs to it.
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let passed_on = !matches!(item.vis, Visibility::Inherited);
        self.take(&item.tree, &[], passed_on);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.file.has_unsafe = true;
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if words.len() > 1
            && let Some(path) = self.resolve(&words)
        {
            self.file.paths.push(path);
        }
        visit::visit_path(self, path);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// All files of `src/`.
fn files() -> BTreeMap<Module, File> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|ending| ending != "rs") {
                continue;
            }
            let relative = path.strip_prefix(root().join("src")).unwrap().with_extension("");
            let mut module: Module = relative.iter().map(|name| name.to_string_lossy().into_owned()).collect();
            if ["mod", "lib"].contains(&module.last().unwrap().as_str()) || module[0] == "bin" {
                module.pop();
            }
            let syntax = syn::parse_file(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let mut reader = Reader { module: module.clone(), file: File::default() };
            reader.visit_file(&syntax);
            files.insert(module, reader.file);
        }
    }
    files
}

/// The file that a path leads to, by way of those that pass names on.
fn file_of(files: &BTreeMap<Module, File>, path: &[String]) -> Module {
    let longest = (0..=path.len()).rev().find(|&n| files.contains_key(&path[..n])).unwrap_or(0);
    let (module, rest) = path.split_at(longest);
    let next = rest.first().and_then(|name| files[module].passed_on.get(name));
    match next {
        // A macro is passed on under its own name, by the file that defines it.
        Some(next) if next.as_slice() != &path[..=longest] => file_of(files, &[next, &rest[1..]].concat()),
        _ => module.to_vec(),
    }
}

/// Which file takes from which others.
fn edges() -> BTreeMap<Module, BTreeSet<Module>> {
    let files = files();
    let taken = |module: &Module, file: &File| {
        let all = file.paths.iter().map(|path| file_of(&files, path));
        all.filter(|other| other != module).collect::<BTreeSet<Module>>()
    };
    files.iter().map(|(module, file)| (module.clone(), taken(module, file))).collect()
}

#[test]
fn no_files_take_from_each_other() {
    let edges = edges();
    assert!(edges.len() > 80 && edges.values().map(BTreeSet::len).sum::<usize>() > 200, "the reader is broken");
    // What takes from nothing that is left, and what nothing takes from, is in no circle.
    let mut left = edges;
    loop {
        let taken: BTreeSet<Module> = left.values().flatten().cloned().collect();
        let is_free = |module: &Module, takes: &BTreeSet<Module>| {
            !taken.contains(module) || !takes.iter().any(|other| left.contains_key(other))
        };
        let free: Vec<Module> = left.iter().filter(|(m, takes)| is_free(m, takes)).map(|(m, _)| m.clone()).collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|module| _ = left.remove(module));
    }
    let circle: Vec<String> = left
        .iter()
        .map(|(module, taken)| {
            let taken: Vec<String> =
                taken.iter().filter(|other| left.contains_key(*other)).map(|other| other.join("::")).collect();
            format!("{} takes from {}", module.join("::"), taken.join(", "))
        })
        .collect();
    assert!(circle.is_empty(), "in a circle:\n{}", circle.join("\n"));
}

#[test]
fn no_folder_takes_from_one_above_it() {
    let design = std::fs::read_to_string(root().join("docs/design.md")).unwrap();
    let order = design.split("```order\n").nth(1).expect("the order of the folders").split("```").next().unwrap();
    let storeys: Vec<Vec<&str>> = order.lines().map(|line| line.split_whitespace().collect()).collect();
    let storey = |folder: &str| {
        storeys
            .iter()
            .position(|names| names.contains(&folder))
            .unwrap_or_else(|| panic!("docs/design.md has no `{folder}`"))
    };
    let mut wrong = BTreeSet::new();
    for (module, taken) in edges() {
        let Some(folder) = module.first() else { continue };
        for other in taken {
            match other.first() {
                Some(below) if below == folder || storey(below) > storey(folder) => {}
                below => _ = wrong.insert(format!("{} takes from {}", module.join("::"), below.map_or("lib", |b| b))),
            }
        }
    }
    assert!(wrong.is_empty(), "upwards or sideways:\n{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
}

/// Only where no crate has the call.
#[test]
fn unsafe_code_stands_in_one_file() {
    let files = files();
    let found: Vec<&Module> = files.iter().filter(|(_, file)| file.has_unsafe).map(|(module, _)| module).collect();
    assert_eq!(found, [&["load".to_owned(), "scheduling".to_owned()]]);
}
