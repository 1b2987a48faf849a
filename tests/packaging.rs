//! The systemd unit with the kernel settings that it comes with, what a release needs.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a test's own steps may fail loudly

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use konsil::config::Config;

const UNIT: &str = "systemd/konsil.service";
/// The worst exposure level that is accepted, of 10.
const EXPOSURE_MAX: f32 = 2.0;

fn systemd_analyze(arguments: &[&str]) -> Output {
    let run = Command::new("systemd-analyze").args(arguments).env("SYSTEMD_COLORS", "0").output();
    run.expect("systemd-analyze is in Debian's package systemd")
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn unit_is_valid() {
    // The path of the installed binary is the only thing that is not there yet.
    let text = fs::read_to_string(UNIT).unwrap();
    assert_eq!(text.matches("/usr/bin/konsil serve").count(), 1);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("unit");
    fs::create_dir_all(&folder).unwrap();
    let unit = folder.join("konsil.service");
    fs::write(&unit, text.replace("/usr/bin/konsil serve", concat!(env!("CARGO_BIN_EXE_konsil"), " serve"))).unwrap();
    let output = systemd_analyze(&["verify", "--man=no", unit.to_str().unwrap()]);
    assert!(output.status.success() && told(&output).trim().is_empty(), "{}", told(&output));
}

#[test]
fn unit_is_hardened() {
    let output = systemd_analyze(&["security", "--offline=true", UNIT]);
    let text = told(&output);
    let level = text.lines().rev().find_map(|line| line.split_once("Overall exposure level for konsil.service: "));
    let level: f32 = level.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).expect(&text);
    assert!(output.status.success() && level <= EXPOSURE_MAX, "{text}");
}

#[test]
fn kernel_grants_the_buffers_that_konsil_asks_for() {
    let text = fs::read_to_string("systemd/konsil-sysctl.conf").unwrap();
    let value = |key: &str| -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).expect(key);
        line.trim().strip_prefix('=').unwrap().trim().parse().unwrap()
    };
    let media = Config::with_cores(1).media;
    assert!(value("net.core.rmem_max") >= media.receive_buffer);
    assert!(value("net.core.wmem_max") >= media.send_buffer);
}

#[test]
fn the_release_says_which_tool_it_lacks() {
    let output = Command::new("make").args(["--no-print-directory", "train", "PROFDATA="]).output().expect("make runs the tests");
    assert!(!output.status.success() && told(&output).contains("apt-get install llvm-19"), "{}", told(&output));
}
