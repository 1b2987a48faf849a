//! A packet of a data track on its way to a receiver: nothing but its number changes.

use konsil::sfu::data_track::{Head, PACKET_MAX, head, renumber};

pub fn run(input: &[u8]) {
    let Some(read) = head(input) else { return };
    assert!(input.len() <= PACKET_MAX && read.handle > 0);
    let mut packet = input.to_vec();
    renumber(&mut packet, 777);
    assert_eq!(head(&packet), Some(Head { handle: 777, ..read }));
    renumber(&mut packet, read.handle);
    assert_eq!(packet, input);
}
