//! Every input that fuzzing has kept, through the entries again.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly
#![allow(clippy::print_stdout)] // of a test that fails, the last name printed is that of the input

#[path = "../fuzz/entries/mod.rs"]
mod entries;

use std::fs;
use std::path::Path;

fn replay(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        println!("{}", file.display());
        entries::run(name, &fs::read(&file).unwrap());
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn all_entries_are_replayed() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(replayed, entries::ENTRIES.map(|(name, _)| name));
        }
    };
}

replays!(
    conceal data data_track datagram descriptor desk framing invitation join_request offer p2p payload proxy rtcp sdp signal tan token turn whip
);
