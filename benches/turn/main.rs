//! CPU time for each relayed packet, beside a bare forwarder with the same traffic.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![allow(clippy::expect_used, reason = "a benchmark stops where its own set-up fails")]

mod bare;
mod client;
mod crowd;
mod relay;

use std::io;
use std::time::Duration;

/// How long one run lasts.
const SPAN: Duration = Duration::from_secs(4);
/// How many runs make one figure, which is their median. The ways take turns, so that a noisy minute is everybody's.
const ROUNDS: usize = 3;

/// So many pairs talk to each other through the relay.
#[derive(Clone, Copy, Debug)]
struct Load {
    name: &'static str,
    pairs: usize,
    /// Packets a second from each of the two.
    rate: u32,
}

/// A two-person call sends some 130 packets a second each way: sound 50, a picture 80.
const LOADS: [Load; 3] = [
    Load { name: "1 pair", pairs: 1, rate: 130 },
    Load { name: "20 pairs", pairs: 20, rate: 130 },
    Load { name: "200 pairs", pairs: 200, rate: 50 },
];

/// What one run cost.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// CPU time of the relaying thread for each packet that arrived, in microseconds.
    micros: f64,
    /// Received of what was sent, 0 to 1.
    delivered: f64,
}

/// `cargo bench --bench turn -- [part of a load's name]` runs a part; `train` relays each load once, for `make release`.
fn main() -> io::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if wanted.iter().any(|word| word == "train") {
        return LOADS.into_iter().try_for_each(|load| relay::run(load, SPAN).map(drop));
    }
    println!("ChannelData of 1,100 bytes both ways: CPU time of the relaying thread in us per relayed packet\n");
    println!("| load | bare recvmmsg/sendmmsg | konsil | konsil / bare |\n|---|---|---|---|");
    for load in LOADS.into_iter().filter(|load| wanted.iter().all(|word| load.name.contains(word.as_str()))) {
        let mut rounds = (0..ROUNDS).map(|_| Ok((bare::run(load, SPAN)?, relay::run(load, SPAN)?))).collect::<io::Result<Vec<_>>>()?;
        rounds.sort_by(|a, b| (a.1.micros / a.0.micros).total_cmp(&(b.1.micros / b.0.micros)));
        let (bare, konsil) = rounds[ROUNDS / 2];
        println!("| {} | {} | {} | {:.2} |", load.name, cell(bare), cell(konsil), konsil.micros / bare.micros);
    }
    Ok(())
}

/// Flags a figure of a run that lost packets: what is not sent costs nothing.
fn cell(cost: Cost) -> String {
    let lost = if cost.delivered < 0.99 { format!(" (only {:.0} % delivered)", cost.delivered * 100.0) } else { String::new() };
    format!("{:.2}{lost}", cost.micros)
}
