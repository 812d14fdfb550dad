//! The direction of dependencies inside `src/`, and a few rules that no lint knows.
//!
//! The checker reads tokens, not types: it follows every path that starts with `crate` or `super`, and what `lib.rs`
//! re-exports. Comments, texts and `#[cfg(test)]` items do not count.

#[path = "layering/source.rs"]
mod source;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use source::{Source, paths};

/// A layer, its top-level modules, and the layers that they may use besides their own module.
struct Layer {
    number: u8,
    modules: &'static [&'static str],
    may_use: &'static [u8],
}

/// A module that is not in this table fails the test: decide where it belongs first (docs/design.md).
const LAYERS: &[Layer] = &[
    Layer { number: 0, modules: &["address", "base64url", "clock", "id"], may_use: &[0] },
    Layer {
        number: 1,
        modules: &["declarative", "message", "outcome", "report", "subscription", "telemetry"],
        may_use: &[0, 1],
    },
    Layer { number: 2, modules: &["engine"], may_use: &[0, 1] },
    // Octets only: a transport knows neither subscriptions nor verdicts.
    Layer { number: 3, modules: &["transport"], may_use: &[0] },
    Layer { number: 3, modules: &["store"], may_use: &[0, 1] },
    Layer { number: 4, modules: &["sender"], may_use: &[0, 1, 2, 3] },
    Layer { number: 5, modules: &["channel"], may_use: &[0, 1, 2, 3, 4] },
    Layer { number: 6, modules: &["testing"], may_use: &[0, 1, 2, 3, 4, 5] },
];

const MAX_LINES: usize = 600;

#[test]
fn src_keeps_to_the_layers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = read_tree(&root);
    assert!(files.len() > 10, "found {} files in {}", files.len(), root.display());
    let problems = check(&files);
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Everything that is wrong with a tree of files, by path relative to `src`.
fn check(files: &BTreeMap<String, String>) -> Vec<String> {
    let sources: BTreeMap<&str, Source> =
        files.iter().map(|(path, text)| (path.as_str(), Source::parse(text))).collect();
    let mut root = sources.get("lib.rs").map(root_names).unwrap_or_default();
    // An exported macro is named at the root, wherever it is defined.
    for (path, source) in &sources {
        root.extend(source.macros.iter().map(|name| (name.clone(), top_module(path).to_owned())));
    }
    let tests_only: Vec<String> = sources
        .iter()
        .flat_map(|(path, source)| source.test_modules.iter().map(|name| module_path(path, name)))
        .collect();

    let mut problems = Vec::new();
    for (path, text) in files {
        problems.extend(check_text(path, text));
        let module = module_path(path, "");
        let in_tests = tests_only.iter().any(|t| module == *t || module.starts_with(&format!("{t}/")));
        if path == "lib.rs" || in_tests {
            continue;
        }
        problems.extend(check_edges(path, &module, &sources[path.as_str()], &root));
        problems.extend(check_clock(path, &sources[path.as_str()]));
    }
    problems
}

fn check_text(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{path}: {lines} lines, at most {MAX_LINES}: split it"));
    }
    if let Some(line) = text.lines().position(|line| !line.is_ascii()) {
        problems.push(format!("{path}:{}: not ASCII", line + 1));
    }
    if path.ends_with("mod.rs") && (path == "mod.rs" || path.ends_with("/mod.rs")) {
        problems.push(format!("{path}: a module `foo` is `foo.rs`, its parts are in `foo/`"));
    }
    problems
}

fn check_edges(path: &str, module: &str, source: &Source, root: &BTreeMap<String, String>) -> Vec<String> {
    let from = top_module(path);
    let Some(layer) = layer_of(from) else {
        return vec![format!("{path}: `{from}` has no layer: put it into the table of tests/layering.rs")];
    };
    let depth = module.split('/').count();
    let mut problems = Vec::new();
    for used in &source.paths {
        let Some(name) = used.below_root(depth) else { continue };
        let at = format!("{path}:{}", used.line);
        // What is re-exported stands for the module it comes from.
        let target =
            if layer_of(name).is_some() { name } else { root.get(name).map_or(name, String::as_str) };
        match layer_of(target) {
            _ if target == from => {}
            Some(other) if layer.may_use.contains(&other.number) => {}
            Some(other) => problems.push(format!(
                "{at}: `{from}` (layer {}) must not use `{target}` (layer {})",
                layer.number, other.number
            )),
            None => problems.push(format!(
                "{at}: `crate::{name}` is neither a module of the table nor re-exported by name in lib.rs"
            )),
        }
    }
    problems
}

/// Wall and monotonic time are injected; tokio's clock, which tests can pause, is not meant.
fn check_clock(path: &str, source: &Source) -> Vec<String> {
    let std_instant = source.paths.iter().any(|used| used.is(&["std", "time", "Instant"]));
    let reads = |used: &&source::UsedPath| {
        used.ends_with(&["SystemTime", "now"])
            || used.is(&["std", "time", "Instant", "now"])
            || (std_instant && used.is(&["Instant", "now"]))
    };
    if path == "clock.rs" {
        return Vec::new();
    }
    let message = |used: &source::UsedPath| format!("{path}:{}: reads the time: take a `Clock`", used.line);
    source.paths.iter().filter(reads).map(message).collect()
}

fn top_module(path: &str) -> &str {
    path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn layer_of(module: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.modules.contains(&module))
}

/// What `lib.rs` re-exports: the name and the top-level module that it comes from.
fn root_names(lib: &Source) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for used in &lib.paths {
        let mut segments =
            used.segments.iter().map(String::as_str).skip_while(|s| *s == "self" || *s == "crate");
        if let (Some(module), Some(name)) = (segments.next(), used.segments.last())
            && layer_of(module).is_some()
            && module != name
            && name != "*"
        {
            names.insert(used.alias.clone().unwrap_or_else(|| name.clone()), module.to_owned());
        }
    }
    names
}

/// `subscription/keys.rs` is `subscription/keys`; with `child`, the module declared in it.
fn module_path(path: &str, child: &str) -> String {
    let own = path.trim_end_matches(".rs").trim_end_matches("/mod");
    match (own, child) {
        ("lib", child) => child.to_owned(),
        (own, "") => own.to_owned(),
        (own, child) => format!("{own}/{child}"),
    }
}

fn read_tree(root: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut open: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root).expect("below src").to_string_lossy().replace('\\', "/");
                files.insert(name, fs::read_to_string(&path).expect("src is UTF-8"));
            }
        }
    }
    files
}

mod the_checker {
    use super::*;

    const LIB: &str = "mod address; pub mod engine; mod subscription; pub mod transport;
        pub use self::address::AddressPolicy;
        pub use self::subscription::{Endpoint, PublicKey as Key};";

    fn problems(path: &str, text: &str) -> Vec<String> {
        let tree = [("lib.rs", LIB), (path, text)];
        check(&tree.map(|(path, text)| (path.to_owned(), text.to_owned())).into())
    }

    #[track_caller]
    fn refused(path: &str, text: &str, because: &str) {
        let found = problems(path, text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(because), "{found:?}");
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(problems(path, text), Vec::<String>::new(), "{text}");
    }

    #[test]
    fn allows_the_way_down() {
        allowed(
            "subscription/policy.rs",
            "use super::Endpoint; use crate::AddressPolicy; use crate::base64url;",
        );
        allowed("engine/request.rs", "fn f(to: &crate::Endpoint) -> super::Verdict { crate::message::x() }");
        allowed(
            "transport/hyper.rs",
            "use super::super::address::AddressPolicy; use crate::transport::Transport;",
        );
        allowed("store.rs", "use crate::{Endpoint, id::{self, UserId}};");
        allowed("sender.rs", "use crate::{engine::*, store::Entry, transport};");
        allowed("channel/window.rs", "use crate::sender::Sender;");
        allowed("testing/stub.rs", "use crate::{channel, sender::Sender as S};");
    }

    #[test]
    fn refuses_the_way_up() {
        refused("address.rs", "use crate::subscription::Endpoint;", "`address` (layer 0)");
        refused("subscription.rs", "use crate::engine::vapid;", "must not use `engine`");
        refused("engine/vapid.rs", "use crate::transport::Transport;", "must not use `transport`");
        refused("transport.rs", "use crate::engine::Verdict;", "must not use `engine`");
        refused("transport.rs", "use crate::Endpoint;", "must not use `subscription`");
        refused("transport/pool.rs", "fn f(_: crate::store::Entry) {}", "must not use `store`");
        refused("store/memory.rs", "use crate::transport::Transport;", "must not use `transport`");
        refused("store.rs", "use super::engine::Verdict;", "must not use `engine`");
        refused("sender/retry.rs", "use super::super::channel::Channel;", "must not use `channel`");
        refused("channel.rs", "use crate::testing::StubTransport;", "must not use `testing`");
    }

    #[test]
    fn sees_through_groups_aliases_and_macros() {
        refused("store.rs", "use {crate::{id::UserId, engine::{Verdict as V}}};", "must not use `engine`");
        refused("transport.rs", "use crate::Key;", "must not use `subscription`");
        refused("store.rs", "macro_rules! m { () => { $crate::sender::f() }; }", "must not use `sender`");
        refused("transport.rs", "mod inner { use super::super::engine; }", "must not use `engine`");
        refused("transport.rs", "use crate :: /* way */ engine;", "must not use `engine`");
        refused("transport.rs", "use crate::*;", "`crate::*`");
        refused("transport.rs", "use crate as root;", "`crate::self`");
        refused("transport.rs", "use super::{self as root};", "`crate::self`");
        refused(
            "transport.rs",
            "fn f() -> &'static str { '\"'; crate::engine::f() }",
            "must not use `engine`",
        );
    }

    #[test]
    fn skips_comments_texts_and_tests() {
        allowed(
            "transport.rs",
            "//! [`crate::engine`]\n/* crate::store /* crate::store */ crate::store */ fn f() {}",
        );
        allowed("transport.rs", r##"const A: &[&str] = &["crate::engine \" ", r#"" crate::store"#];"##);
        allowed(
            "transport.rs",
            "#[cfg(test)]\nmod tests { use crate::engine::Verdict; fn f() { mod g {} } }",
        );
        allowed("transport.rs", "#[cfg(test)] #[allow(unused)] use crate::{engine, store};\nfn f() {}");
        allowed("transport.rs", "pub(crate) fn f() {} pub(in crate::transport) fn g() {}");
        refused("transport.rs", "#[cfg(test)] mod tests { } use crate::engine::V;", "must not use `engine`");
        refused("transport.rs", "#[cfg(feature = \"test\")] use crate::engine::V;", "must not use `engine`");
    }

    #[test]
    fn skips_the_file_of_a_test_module() {
        let tree = [
            ("lib.rs", LIB),
            ("transport.rs", "#[cfg(test)] mod tests;"),
            ("transport/tests.rs", "use crate::engine::V;"),
            ("transport/tests_of_others.rs", "use crate::engine::V;"),
        ];
        let found = check(&tree.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("transport/tests_of_others.rs:1:"), "{found:?}");
    }

    #[test]
    fn follows_an_exported_macro_to_its_module() {
        allowed("testing/suite.rs", "macro_rules! suite { () => { $crate::suite!(@one); } }");
        let tree = [
            ("lib.rs", LIB),
            ("testing/suite.rs", "macro_rules! suite { () => {} }"),
            ("store.rs", "crate::suite!();"),
        ];
        let found = check(&tree.map(|(path, text)| (path.to_owned(), text.to_owned())).into());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("`store` (layer 3) must not use `testing`"), "{found:?}");
    }

    #[test]
    fn refuses_what_it_cannot_place() {
        refused("helpers.rs", "fn f() {}", "`helpers` has no layer");
        refused("store.rs", "use crate::helpers::f;", "neither a module of the table nor re-exported");
    }

    #[test]
    fn refuses_long_files_mod_rs_and_other_alphabets() {
        refused("store.rs", &"fn f() {}\n".repeat(MAX_LINES + 1), "601 lines");
        allowed("store.rs", &"fn f() {}\n".repeat(MAX_LINES));
        refused("store/mod.rs", "fn f() {}", "is `foo.rs`");
        refused("store.rs", "fn f() {}\n// \u{e9}\n", "store.rs:2: not ASCII");
    }

    #[test]
    fn refuses_to_read_the_time() {
        refused("store.rs", "fn f() { std::time::SystemTime::now(); }", "store.rs:1: reads the time");
        refused("store.rs", "use std::time::SystemTime;\nfn f() { SystemTime::now(); }", "store.rs:2:");
        refused("store.rs", "use std::time::{Duration, Instant};\nfn f() { Instant::now(); }", "store.rs:2:");
        allowed("store.rs", "use tokio::time::Instant;\nfn f() { Instant::now(); }");
        allowed("clock.rs", "fn f() { std::time::SystemTime::now(); }");
        allowed("store.rs", "#[cfg(test)] mod tests { fn f() { std::time::SystemTime::now(); } }");
    }

    #[test]
    fn reads_paths() {
        let text = "use a::{b, c::{self, d as e}, f::*};\nfn g<T: h::I>() -> T::J { k::l::<m::N>() }";
        let found: Vec<String> = paths(text).map(|segments| segments.join("::")).collect();
        for path in ["a::b", "a::c", "a::c::d", "a::f::*", "h::I", "T::J", "k::l", "m::N"] {
            assert!(found.contains(&path.to_owned()), "{path} in {found:?}");
        }
    }
}
