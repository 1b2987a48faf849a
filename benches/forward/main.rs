//! CPU time for each forwarded packet, beside a bare loop with the same traffic.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
#![allow(clippy::expect_used, reason = "a benchmark stops where its own set-up fails")]

mod bare;
mod client;
mod load;
mod memory;
mod people;
mod rooms;
mod sockets;
mod srtp;

use std::io;
use std::time::Duration;

use crate::bare::{Cost, Sending};
use crate::load::{LOADS, Load, SHARED};

/// How long one run lasts through sockets.
const SPAN: Duration = Duration::from_secs(3);
/// How long one run lasts in memory, on virtual time.
const VIRTUAL_SPAN: Duration = Duration::from_secs(10);
/// How many runs make one figure, which is their median. The ways take turns, so that a noisy minute is everybody's.
const ROUNDS: usize = 3;

/// How long each load trains the compiler, beside the warm-up.
const TRAINING: Duration = Duration::from_secs(5);

/// `cargo bench --bench forward -- [memory|budget|sockets] [part of a load's name]` runs a part; `train` puts each load through sockets once,
/// for `make release`.
fn main() -> io::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if wanted.iter().any(|word| word == "train") {
        return LOADS.into_iter().try_for_each(|load| sockets::run(load, TRAINING).map(drop));
    }
    let chosen = |part: &str, load: &Load| wanted.iter().all(|word| part == word || load.name.contains(word.as_str()));
    let loads = |part: &'static str| LOADS.into_iter().filter(move |load| chosen(part, load)).peekable();
    if loads("memory").peek().is_some() {
        println!("In memory: CPU time of one worker in us per forwarded packet (packets forwarded in one turn)\n");
        println!("| load | worker |\n|---|---|");
        loads("memory").try_for_each(in_memory)?;
        println!();
    }
    let mut shared = SHARED.into_iter().filter(|load| chosen("budget", load)).peekable();
    if shared.peek().is_some() {
        println!("In memory: CPU time in us for each subscriber in a second\n");
        println!("| load | estimation | allocation | of all the worker's time | us per forwarded packet |\n|---|---|---|---|---|");
        shared.try_for_each(budget)?;
        println!();
    }
    if loads("sockets").peek().is_some() {
        println!("Through sockets: CPU time of the forwarding thread in us per forwarded packet (packets per sending system call)\n");
        println!(
            "| load | bare sendmmsg | bare GSO | bare loop through io::udp | konsil | konsil / bare sendmmsg |\n|---|---|---|---|---|---|"
        );
        loads("sockets").try_for_each(through_sockets)?;
    }
    Ok(())
}

fn remembered(load: Load) -> io::Result<memory::Cost> {
    let mut costs = (0..ROUNDS).map(|_| memory::run(load, VIRTUAL_SPAN)).collect::<io::Result<Vec<_>>>()?;
    costs.sort_by(|a, b| a.micros.total_cmp(&b.micros));
    Ok(costs[ROUNDS / 2])
}

fn budget(load: Load) -> io::Result<()> {
    let memory::Cost { estimation, allocation, share, micros, delivered, .. } = remembered(load)?;
    println!("| {} | {estimation:.0} | {allocation:.0} | {:.0} % | {micros:.2}{} |", load.name, share * 100.0, lost(delivered));
    Ok(())
}

fn in_memory(load: Load) -> io::Result<()> {
    let cost = remembered(load)?;
    println!("| {} | {:.2} ({:.1}{}) |", load.name, cost.micros, cost.per_turn, lost(cost.delivered));
    Ok(())
}

fn through_sockets(load: Load) -> io::Result<()> {
    let ways = [Sending::Batched, Sending::Offloaded, Sending::Queued];
    let mut columns: [Vec<Cost>; 4] = [const { Vec::new() }; 4];
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        for (column, sending) in columns.iter_mut().zip(ways) {
            column.push(bare::run(load, sending, SPAN)?);
        }
        let konsil = sockets::run(load, SPAN)?;
        ratios.extend(columns[0].last().map(|bare| konsil.micros / bare.micros));
        columns[3].push(konsil);
    }
    ratios.sort_by(f64::total_cmp);
    let cells: Vec<_> = columns.iter_mut().map(|column| cell(median(column))).collect();
    println!("| {} | {} | {:.1} |", load.name, cells.join(" | "), ratios[ROUNDS / 2]);
    Ok(())
}

fn median(costs: &mut [Cost]) -> Cost {
    costs.sort_by(|a, b| a.micros.total_cmp(&b.micros));
    costs[costs.len() / 2]
}

fn cell(cost: Cost) -> String {
    format!("{:.2} ({:.1}{})", cost.micros, cost.per_call, lost(cost.delivered))
}

/// Flags a figure of a run that lost packets: what is not sent costs nothing.
fn lost(delivered: f64) -> String {
    if delivered < 0.99 { format!(", only {:.0} % delivered", delivered * 100.0) } else { String::new() }
}
