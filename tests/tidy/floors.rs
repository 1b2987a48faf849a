//! Who may use whom: a room of the house imports only from floors below its own.

use super::scan::{Facts, PathFact};

/// Rooms by floor, from the ground up; src/lib.rs must have exactly these.
pub const FLOORS: [&[&str]; 7] =
    [&["model"], &["access", "config", "room", "sfu", "turn"], &["node"], &["io"], &["http"], &["app"], &["cli"]];

/// A room's floor.
pub fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// What a file of `room` says against the floors. Tests are held to them too.
pub fn faults(room: &str, facts: &Facts) -> Vec<(usize, String)> {
    let inside = facts.paths.iter().filter_map(|path| Some((path, path.inside.as_deref()?)));
    let own = facts.paths.iter().filter(|path| path.written[0] == "konsil" && path.written.len() > 1);
    let renamed = own.map(|path| (path.line, "name the crate's rooms by crate::".to_owned()));
    inside.filter_map(|(path, inside)| fault(room, path, inside)).chain(renamed).collect()
}

fn fault(room: &str, path: &PathFact, inside: &[String]) -> Option<(usize, String)> {
    let Some(used) = inside.first().filter(|used| *used != "*") else {
        return Some((path.line, "names the whole crate: name one room".to_owned()));
    };
    if used == room {
        return None;
    }
    let said = match (floor_of(room), floor_of(used)) {
        (_, None) => format!("crate::{used} is no room: the crate's root holds nothing else"),
        (Some(own), Some(other)) if other < own => return None,
        (own, Some(other)) => format!("{room} (floor {}) uses {used} (floor {other})", own.map_or("?".to_owned(), |own| own.to_string())),
    };
    Some((path.line, said))
}
