//! What the pure floors never see: clocks, sockets, tasks, locks, unseeded chance, metrics, logs.

use super::scan::{Facts, NameFact, PathFact, Role};

/// Floors below this are pure.
pub const PURE_FLOORS: usize = 3;

/// Crates that the pure floors may use; every other dependency is foreign to them until somebody puts it here.
const CRATES: [&str; 14] = [
    "base64",
    "bytes",
    "jsonwebtoken",
    "livekit_protocol",
    "prost",
    "rand",
    "serde",
    "serde_json",
    "str0m",
    "strsim",
    "stun_types",
    "thiserror",
    "toml",
    "turn_types",
];
/// Parts of the standard library with effects, or with results that differ between two runs.
const STD: [&str; 9] = ["env", "fs", "io", "os", "process", "random", "thread", "sync", "task"];
/// What is left of them: shared ownership, and the words of errors.
const STD_EXCEPT: [[&str; 2]; 3] = [["sync", "Arc"], ["sync", "Weak"], ["io", "ErrorKind"]];
/// Names that are foreign wherever they come from.
const NAMES: [&str; 17] = [
    "async",
    "await",
    "elapsed",
    "thread_rng",
    "OsRng",
    "SysRng",
    "ThreadRng",
    "Mutex",
    "RwLock",
    "Condvar",
    "LazyLock",
    "OnceLock",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixDatagram",
    "RandomState",
];
/// Maps in an order that differs between two runs; `model/map.rs` gives them a seed.
const MAPS: [&str; 2] = ["HashMap", "HashSet"];

/// What a file of a pure floor says against purity. `dependencies` are the crate's, as paths name them.
///
/// Test code may ask the clock once more: `Instant::now()` as any moment to count from.
pub fn faults(file: &str, facts: &Facts, dependencies: &[String]) -> Vec<(usize, String)> {
    let names = facts.names.iter().filter_map(|name| Some((name.line, foreign_name(file, name)?)));
    let paths = facts.paths.iter().filter_map(|path| Some((path.line, foreign_path(path, dependencies)?)));
    names.chain(paths).map(|(line, what)| (line, format!("{what} on a pure floor"))).collect()
}

fn foreign_name(file: &str, name: &NameFact) -> Option<String> {
    let text = name.name.as_str();
    let map = MAPS.contains(&text) && file != "src/model/map.rs";
    let atomic = text.starts_with("Atomic");
    let local = text == "thread_local" && name.role == Role::Macro;
    (map || atomic || local || NAMES.contains(&text)).then(|| text.to_owned())
}

fn foreign_path(path: &PathFact, dependencies: &[String]) -> Option<String> {
    let written: Vec<&str> = path.written.iter().map(String::as_str).collect();
    let foreign = match written[..] {
        ["std" | "core" | "alloc", part, ref rest @ ..] => {
            let except = rest.first().is_some_and(|name| STD_EXCEPT.contains(&[part, name]));
            STD.contains(&part) && !except || part == "*"
        }
        // Its hashes are pure; its randomness is not.
        ["aws_lc_rs", "hmac", ..] | [] => false,
        ["rand", "rng" | "random" | "random_range" | "random_bool" | "random_iter" | "fill" | "*", ..] => true,
        [first, ..] => dependencies.iter().any(|known| known == first) && !CRATES.contains(&first),
    };
    let clock = written.len() > 1 && written.last() == Some(&"now");
    let moment = path.test && written.ends_with(&["Instant", "now"]);
    (foreign || clock && !moment).then(|| written.join("::"))
}
