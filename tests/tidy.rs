//! House rules that the compiler does not check.

#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/form.rs"]
mod form;
#[path = "tidy/places.rs"]
mod places;
#[path = "tidy/purity.rs"]
mod purity;
#[path = "tidy/scan.rs"]
mod scan;
#[path = "tidy/tree.rs"]
mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use scan::scan;

/// Faults as a person reads them: `file:line: what`.
#[derive(Default)]
struct Report(Vec<String>);

impl Report {
    fn add(&mut self, file: &Path, faults: Vec<(usize, String)>) {
        let file = file.strip_prefix(root()).unwrap_or(file).display();
        self.0.extend(faults.into_iter().map(|(line, fault)| format!("{file}:{line}: {fault}")));
    }

    #[track_caller]
    fn finish(mut self) {
        self.0.sort();
        assert!(self.0.is_empty(), "\n{}\n", self.0.join("\n"));
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn crate_modules() -> Vec<tree::Module> {
    tree::modules(&root().join("src/lib.rs")).unwrap()
}

/// The crate's dependencies as paths name them.
fn dependencies() -> Vec<String> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let names = |table: &str| manifest[table].as_table().unwrap().keys().map(|name| name.replace('-', "_")).collect::<Vec<_>>();
    [names("dependencies"), names("dev-dependencies")].concat()
}

#[test]
fn rooms_use_only_lower_floors() {
    let mut report = Report::default();
    for module in crate_modules() {
        if let Some(room) = module.path.first() {
            report.add(&module.file, floors::faults(room, &module.facts));
        }
    }
    report.finish();
}

#[test]
fn the_house_has_the_rooms_of_its_plan() {
    let crate_root = scan(&fs::read_to_string(root().join("src/lib.rs")).unwrap(), &[], false).unwrap();
    let built: BTreeSet<&str> = crate_root.modules.iter().map(|module| module.name.as_str()).collect();
    let planned: BTreeSet<&str> = floors::FLOORS.into_iter().flatten().copied().collect();
    assert_eq!(built, planned);
    assert!(crate_root.functions.is_empty(), "src/lib.rs only lists rooms");
    let binary = scan(&fs::read_to_string(root().join("src/main.rs")).unwrap(), &[], false).unwrap();
    let rooms = binary.paths.iter().filter(|path| path.written[0] == "konsil").map(|path| path.written[1].as_str());
    assert_eq!(rooms.collect::<BTreeSet<_>>(), BTreeSet::from(["app", "cli"]), "src/main.rs only ties the top floors together");
}

#[test]
fn every_file_is_in_the_house() {
    let mut known: BTreeSet<_> = crate_modules().into_iter().map(|module| module.file).collect();
    known.insert(root().join("src/main.rs"));
    let stray: Vec<_> = tree::rust_files(&root().join("src")).into_iter().filter(|file| !known.contains(file)).collect();
    assert!(stray.is_empty(), "no mod line leads to {stray:?}");
}

#[test]
fn low_floors_are_pure() {
    let dependencies = dependencies();
    let mut report = Report::default();
    for module in crate_modules() {
        let floor = module.path.first().and_then(|room| floors::floor_of(room));
        if floor.is_some_and(|floor| floor < purity::PURE_FLOORS) {
            let file = module.file.strip_prefix(root()).unwrap_or(&module.file).to_string_lossy().into_owned();
            report.add(&module.file, purity::faults(&file, &module.facts, &dependencies));
        }
    }
    report.finish();
}

#[test]
fn files_keep_the_form() {
    let in_house = crate_modules();
    let mut report = Report::default();
    for folder in ["src", "tests", "benches", "fuzz"] {
        for file in tree::rust_files(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            report.add(&file, form::faults(&text));
            match in_house.iter().find(|module| module.file == file) {
                Some(module) => report.add(&file, form::code_faults(&module.facts)),
                None => match scan(&text, &[], folder != "src") {
                    Ok(facts) => report.add(&file, form::code_faults(&facts)),
                    Err(error) => report.add(&file, vec![(1, error)]),
                },
            }
        }
    }
    report.finish();
}

#[test]
fn no_file_names_somebodys_machine() {
    let mut report = Report::default();
    for file in places::files(root()) {
        // What is not text names nothing.
        if let Ok(text) = fs::read_to_string(&file) {
            report.add(&file, places::faults(&text));
        }
    }
    report.finish();
}

/// Code at `crate::node::worker` that a rule must find fault with.
const IMPURE: [&str; 30] = [
    "fn f() { Instant::now(); }",
    "use std::time::Instant as I; fn f() { I::now(); }",
    "fn f() { <Instant>::now(); }",
    "fn f() { std::time::SystemTime::now(); }",
    "fn f(at: Instant) { at.elapsed(); }",
    "use tokio::sync::mpsc;",
    "use {serde::Serialize, tokio};",
    "macro_rules! m { () => { tokio::spawn(x) } }",
    "async fn f() {}",
    "use std::thread;",
    "use std::{net::{IpAddr, UdpSocket}};",
    "use std::sync::Mutex;",
    "use std::sync;",
    "use std::sync::*;",
    "use std::*;",
    "use core::sync::atomic::AtomicU64;",
    "fn f() { std::fs::read(x); }",
    "use std::collections::HashMap;",
    "use std::collections::{BTreeMap, HashSet};",
    "use std::hash::RandomState;",
    "use prometheus::Registry;",
    "fn f() { tracing::info!(\"x\"); }",
    "fn f() { rand::rng(); }",
    "use rand::random;",
    "fn f() { getrandom::fill(x); }",
    "use aws_lc_rs as c;",
    "thread_local! { static A: u8 = 1; }",
    "#[test] fn f() { SystemTime::now(); }",
    "#[cfg(test)] fn f() {} fn g() { Instant::now(); }",
    "#[cfg(test)] mod tests { use std::thread; }",
];

#[test]
fn purity_bites() {
    let dependencies: Vec<String> =
        dependencies().into_iter().chain(["aws_lc_rs", "getrandom", "prometheus", "tokio", "tracing"].map(str::to_owned)).collect();
    let module = ["node".to_owned(), "worker".to_owned()];
    let faults = |source: &str| purity::faults("src/node/worker/mod.rs", &scan(source, &module, false).unwrap(), &dependencies);
    for source in IMPURE {
        assert!(!faults(source).is_empty(), "finds no fault with {source}");
    }
    for source in [
        "#[cfg(test)] mod tests { fn f() { Instant::now(); } }",
        "#[test] fn f() { std::time::Instant::now(); }",
        "use std::sync::Arc; use std::net::SocketAddr;",
        "use rand::rngs::StdRng; /* HashMap */ const A: &str = \"tokio::spawn\";",
        "fn f(now: Instant) { self.now(); let x = worker.now; }",
    ] {
        assert!(faults(source).is_empty(), "finds fault with {source}: {:?}", faults(source));
    }
}

#[test]
fn floors_bite() {
    let module = ["sfu".to_owned(), "rewrite".to_owned()];
    let faults = |source: &str| floors::faults("sfu", &scan(source, &module, false).unwrap());
    for source in [
        "use crate::node::sdp;",
        "use crate::room::Room;",
        "use crate::{model::ids, io};",
        "use {std::fmt, crate::{model::{ids, map}, access::jwt}};",
        "use super::super::http;",
        "use super::{frame, super::node::peer::Peer};",
        "mod deep { use super::super::super::node; }",
        "fn f() -> crate::node::Worker { x }",
        "fn f() { let x = vec![crate::io::udp::bind()]; }",
        "macro_rules! m { () => { $crate::node::f() } }",
        "pub(crate) use crate as root;",
        "use crate::*;",
        "use crate::{self as root};",
        "use super::super::*;",
        "use crate::Worker;",
        "use konsil::node::Worker;",
        "#[cfg(test)] mod tests { use crate::node::Worker; }",
    ] {
        assert!(!faults(source).is_empty(), "finds no fault with {source}");
    }
    for source in [
        "use crate::model::{ids::Sid, map};",
        "use super::frame::Glance; use self::deep::X;",
        "mod deep { use super::super::frame; use super::*; }",
        "pub(crate) fn f() { super::layers::g(); node::h(); }",
        "use str0m::media::{self, Mid};",
    ] {
        assert!(faults(source).is_empty(), "finds fault with {source}: {:?}", faults(source));
    }
}

#[test]
fn forms_bite() {
    let long = format!("fn f() {{\n{}}}", "g();\n".repeat(69));
    for (source, test) in [
        (long.as_str(), false),
        (concat!("fn f() { to", "do!() }"), false),
        ("fn f() { unimplemented!(\"x\") }", false),
        ("#[allow(unused, dead_code)] fn f() {}", false),
        ("fn f() { thread::sleep(x) }", true),
        ("#[cfg(test)] mod tests { fn f() { tokio::time::sleep(x).await } }", false),
    ] {
        assert!(!form::code_faults(&scan(source, &[], test).unwrap()).is_empty(), "finds no fault with {source}");
    }
    for (source, test) in
        [(long.replacen("g();\n", "", 1).as_str(), false), ("fn f() { thread::sleep(x) }", false), ("fn sleep() {}", true)]
    {
        assert!(form::code_faults(&scan(source, &[], test).unwrap()).is_empty(), "finds fault with {source}");
    }
    let fine = "//! One idea.\n\nfn f() {}\n";
    assert!(form::faults(fine).is_empty());
    for text in [
        "",
        "fn f() {}\n",
        "//! One idea and another.\n",
        "//! One idea.\n//! More of it.\n",
        &fine.repeat(300),
        concat!("//! One idea.\n// TO", "DO\n"),
    ] {
        assert!(!form::faults(text).is_empty(), "finds no fault with {text:.40}");
    }
}

#[test]
fn places_bite() {
    for line in [
        concat!("cd /ro", "ot/x"),
        concat!("x=\"/ho", "me/me\""),
        concat!("pip install --index-", "url https://mirror"),
        "    \"resolved\": \"https://mirror.example/a.tgz\",",
        "source = \"registry+https://mirror.example/index\"",
    ] {
        assert!(!places::faults(line).is_empty(), "finds no fault with {line}");
    }
    for line in [
        concat!("see web/ho", "me/index.html"),
        "source = \"registry+https://github.com/rust-lang/crates.io-index\"",
        "    \"resolved\": \"https://registry.npmjs.org/vite/-/vite-1.tgz\",",
    ] {
        assert!(places::faults(line).is_empty(), "finds fault with {line}");
    }
}
