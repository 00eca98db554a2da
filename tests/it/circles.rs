//! No circular imports: no file imports, directly or indirectly, a file that imports it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A path below a crate's root, such as `["store", "batch"]`.
type Module = Vec<String>;

/// The files of a crate by module. The file of a module with submodules is `mod.rs`, or has the name of its folder.
fn modules(root: &Path, directory: &Path, found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(directory).expect("the directory can be read") {
        let path: PathBuf = entry.expect("the entry can be read").path();
        if path.is_dir() {
            modules(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inside = path.strip_prefix(root).expect("it is below the root").with_extension("");
            let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
            module.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
            let text = fs::read_to_string(&path).expect("the file can be read");
            found.insert(module, text);
        }
    }
}

/// The paths that a file imports, each with whether it re-exports it.
fn imports(text: &str) -> Vec<(bool, Module)> {
    let code: String =
        text.split("#[cfg(test)]").next().unwrap_or_default().lines().fold(String::new(), |code, line| {
            if line.trim_start().starts_with("//") { code } else { code + line.trim() + " " }
        });
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some((before, tree)) = statement.rsplit_once("use ") else { continue };
        if before.is_empty() || before.ends_with([' ', '}']) || before.ends_with("pub ") {
            let is_export = before.trim_end().ends_with("pub") || before.trim_end().ends_with(')');
            expand(&[], tree, &mut |path| found.push((is_export, path)));
        }
    }
    found
}

/// Calls `each` with every path of a tree such as `a::{b, c::{d, e}}`.
fn expand(prefix: &[String], tree: &str, each: &mut impl FnMut(Module)) {
    let (mut depth, mut start) = (0, 0);
    for (index, character) in tree.char_indices().chain([(tree.len(), ',')]) {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let part = tree[start..index].trim();
                start = index + 1;
                let (path, inner) = part.split_once("::{").unwrap_or((part, ""));
                let names = path.split(" as ").next().unwrap_or_default().split("::").map(str::to_owned);
                let path: Module = prefix.iter().cloned().chain(names).collect();
                match inner.strip_suffix('}') {
                    Some(inner) => expand(&path, inner, each),
                    None if !part.is_empty() => each(path),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

/// The module that an imported path names, with the rest of the path.
fn absolute(own: &[String], path: &[String], files: &BTreeMap<Module, String>) -> Option<Module> {
    let (first, mut rest) = path.split_first()?;
    let mut base = match first.as_str() {
        "crate" => Module::new(),
        "self" => own.to_vec(),
        "super" => own[..own.len().saturating_sub(1)].to_vec(),
        name if files.contains_key(&[own, &[name.to_owned()]].concat()) => [own, &[name.to_owned()]].concat(),
        _ => return None,
    };
    while rest.first().is_some_and(|name| name == "super") {
        base.pop();
        rest = &rest[1..];
    }
    Some([base.as_slice(), rest].concat())
}

fn file_of(path: &[String], files: &BTreeMap<Module, String>) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|module| files.contains_key(module))
}

/// The import edges that remain after all files without imports are removed repeatedly.
fn circles(root: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files = BTreeMap::new();
    modules(&root, &root, &mut files);
    let (mut edges, mut exports) = (BTreeMap::<Module, BTreeSet<Module>>::new(), BTreeMap::<Module, Module>::new());
    for (own, text) in &files {
        for (is_export, path) in imports(text) {
            let Some(path) = absolute(own, &path, &files) else { continue };
            match path.last() {
                Some(name) if is_export => {
                    exports.insert([own.as_slice(), std::slice::from_ref(name)].concat(), path);
                }
                _ => {
                    edges.entry(own.clone()).or_default().insert(path);
                }
            }
        }
    }
    assert!(edges.len() > 5, "imports are found at all");
    for (own, targets) in &mut edges {
        let resolved = targets.iter().filter_map(|path| {
            let path = exports.get(path).unwrap_or(path);
            file_of(path, &files).filter(|file| file != own)
        });
        *targets = resolved.collect();
    }
    loop {
        let with_imports: BTreeSet<Module> =
            edges.iter().filter(|(_, targets)| !targets.is_empty()).map(|(own, _)| own.clone()).collect();
        let before = edges.len();
        edges.retain(|own, _| with_imports.contains(own));
        edges.values_mut().for_each(|targets| targets.retain(|target| with_imports.contains(target)));
        if edges.len() == before {
            break;
        }
    }
    let name = |module: &Module| module.join("::");
    edges
        .iter()
        .flat_map(|(own, targets)| targets.iter().map(move |it| format!("{} -> {}", name(own), name(it))))
        .collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for root in ["src", "benches/sync"] {
        let circles = circles(root);
        assert!(circles.is_empty(), "in {root}:\n{}", circles.join("\n"));
    }
}

#[test]
fn paths_are_found_in_nested_imports() {
    let text = "use crate::a::{b, c::{d, e as f}};\n// use crate::no;\npub use self::x::Y;\npub(super) fn g() {}\nuse super::z;";
    let paths: Vec<String> =
        imports(text).iter().map(|(is_export, path)| format!("{is_export} {}", path.join("::"))).collect();
    assert_eq!(
        paths,
        ["false crate::a::b", "false crate::a::c::d", "false crate::a::c::e", "true self::x::Y", "false super::z"]
    );
}
