//! What a check found, step by step, with the verdict over all.

use std::time::Duration;

use serde_json::{Value, json};

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should be; the advice is at most a remark.
    Fine,
    /// It works, but something should be done.
    Impaired,
    /// It does not work.
    Failed,
    /// Not tried; the advice says why.
    Skipped,
}

/// One rung of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A stable name for machines.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
    /// What it means, with what to do; may be empty. Nothing secret stands here.
    pub advice: String,
}

impl Step {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.outcome == Outcome::Fine
    }
}

/// What all steps say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every step is fine.
    Well,
    /// Calls are possible, but not as well as they could be.
    Degraded,
    /// No call can work from here.
    NoMedia,
}

/// The rungs without which nobody can join.
const SIGNALLING: [&str; 5] = ["server", "dns", "certificate", "https", "websocket"];
/// The ways of media, each of which is enough.
const WAYS: [&str; 4] = ["stun-udp", "turn-udp", "turn-tcp", "turn-tls"];

/// All steps, in the order of the ladder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// What the steps say together.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let works = |step: &Step| matches!(step.outcome, Outcome::Fine | Outcome::Impaired);
        let by_name = |name: &str| self.steps.iter().find(|step| step.name == name);
        if self.steps.iter().any(|step| SIGNALLING.contains(&step.name) && !works(step)) {
            return Verdict::NoMedia;
        }
        let way = |name: &&str| by_name(name).is_some_and(works);
        // Where only the relay is reached, it must also relay.
        let direct = by_name("stun-udp").is_some_and(works);
        let relay_broken = by_name("relay-loop").is_some_and(|step| step.outcome == Outcome::Failed);
        if !WAYS.iter().any(way) || (relay_broken && !direct) {
            return Verdict::NoMedia;
        }
        if self.steps.iter().all(Step::ok) { Verdict::Well } else { Verdict::Degraded }
    }

    /// For machines: `{"steps":[{"name","ok","ms","advice"}]}`.
    #[must_use]
    pub fn json(&self) -> Value {
        let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let step = |step: &Step| json!({ "name": step.name, "ok": step.ok(), "ms": millis(step.took), "advice": step.advice });
        json!({ "steps": self.steps.iter().map(step).collect::<Vec<_>>() })
    }
}

/// Most letters of a foreign text that are shown.
const FOREIGN_MAX: usize = 160;

/// What somebody else wrote, fit for a terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.trim().chars().filter(|letter| !letter.is_control()).take(FOREIGN_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 9] = ["dns", "certificate", "https", "websocket", "stun-udp", "turn-udp", "turn-tcp", "turn-tls", "relay-loop"];

    fn verdict(bad: &[(&str, Outcome)]) -> Verdict {
        let outcome = |name: &str| bad.iter().find(|(bad, _)| *bad == name).map_or(Outcome::Fine, |(_, outcome)| *outcome);
        let step = |name: &&'static str| Step { name, outcome: outcome(name), took: Duration::ZERO, advice: String::new() };
        Report { steps: ALL.iter().map(step).collect() }.verdict()
    }

    #[test]
    fn one_way_of_media_is_enough_but_not_well() {
        let failed = |name| (name, Outcome::Failed);
        assert_eq!(verdict(&[]), Verdict::Well);
        assert_eq!(verdict(&[failed("stun-udp"), failed("turn-udp")]), Verdict::Degraded);
        assert_eq!(verdict(&[failed("stun-udp"), failed("turn-udp"), failed("turn-tcp")]), Verdict::Degraded);
        assert_eq!(verdict(&WAYS.map(failed)), Verdict::NoMedia);
        assert_eq!(verdict(&[("certificate", Outcome::Impaired)]), Verdict::Degraded);
        assert_eq!(verdict(&[("relay-loop", Outcome::Skipped)]), Verdict::Degraded);
    }

    #[test]
    fn without_signalling_there_is_no_call() {
        for name in &ALL[..4] {
            for outcome in [Outcome::Failed, Outcome::Skipped] {
                assert_eq!(verdict(&[(name, outcome)]), Verdict::NoMedia, "{name}");
            }
        }
    }

    #[test]
    fn a_relay_that_does_not_relay_helps_only_who_does_not_need_it() {
        let broken = ("relay-loop", Outcome::Failed);
        assert_eq!(verdict(&[broken]), Verdict::Degraded);
        assert_eq!(verdict(&[broken, ("stun-udp", Outcome::Failed)]), Verdict::NoMedia);
    }

    #[test]
    fn machines_read_four_fields() {
        let step = Step { name: "dns", outcome: Outcome::Skipped, took: Duration::from_millis(3), advice: "why".to_owned() };
        let json = Report { steps: vec![step] }.json();
        assert_eq!(json, json!({ "steps": [{ "name": "dns", "ok": false, "ms": 3, "advice": "why" }] }));
    }
}
