//! CPU time for each forwarded packet, beside a bare loop with the same traffic.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]

mod bare;
mod load;
mod srtp;

use std::io;
use std::time::Duration;

use crate::bare::{Cost, Sending};
use crate::load::LOADS;

/// How long one run lasts.
const SPAN: Duration = Duration::from_secs(3);
/// How many runs make one figure, which is their median.
const ROUNDS: usize = 3;

fn main() -> io::Result<()> {
    println!("CPU time of the forwarding thread in us per forwarded packet (packets per sending system call)\n");
    println!("| load | bare sendmmsg | bare GSO | bare loop through io::udp |");
    println!("|---|---|---|---|");
    for load in LOADS {
        let mut cells = Vec::new();
        for sending in [Sending::Batched, Sending::Offloaded, Sending::Queued] {
            let mut costs = (0..ROUNDS).map(|_| bare::run(load, sending, SPAN)).collect::<io::Result<Vec<_>>>()?;
            costs.sort_by(|a, b| a.micros.total_cmp(&b.micros));
            cells.push(cell(&costs[ROUNDS / 2]));
        }
        println!("| {} | {} |", load.name, cells.join(" | "));
    }
    Ok(())
}

fn cell(cost: &Cost) -> String {
    let lost = if cost.delivered < 0.99 { format!(", {:.0} % delivered", cost.delivered * 100.0) } else { String::new() };
    format!("{:.2} ({:.1}{lost})", cost.micros, cost.per_call)
}
