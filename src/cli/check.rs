//! `konsil check`: the ladder as a person reads it, or as JSON.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::StateFolder;
use crate::app::check::certificate::{Fingerprint, parse_fingerprint};
use crate::app::check::check;
use crate::app::check::plan::Asked;
use crate::app::check::report::{Outcome, Report, Verdict};

/// Letters in a line of advice.
const WIDTH: usize = 96;

const EXAMPLES: &str = "\
Exit status: 0 all is well, 1 calls work but something should be done, 2 no call can work.

Examples:
  konsil check
      On the server: checks the one that runs here. It joins a room of its own for a moment.
  konsil check 'https://konsil.example/r/ward-3#t=...'
      From a client's machine, with a whole link. It joins the link's room for a moment: whoever uses
      the same link at that time is put out, so take a link that nobody uses yet.
  konsil check https://konsil.example --token \"$TOKEN\" --json
      With a token, for machines.
  konsil check https://konsil.example
      Without a token: everything but an allocation with packets through the relay.
Proxies are not used, whatever HTTPS_PROXY says.";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct CheckArgs {
    /// The page's URL or a link; without it, the server of the state folder
    url: Option<String>,
    /// A participant's token, in place of the link's
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// SHA-256 fingerprint of the server's certificate, to compare
    #[arg(long, value_name = "SHA256", value_parser = parse_fingerprint)]
    fingerprint: Option<Fingerprint>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateFolder,
}

impl std::fmt::Debug for CheckArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CheckArgs(..)")
    }
}

/// Checks, prints, and says how it ended.
pub(super) fn run(arguments: CheckArgs) -> anyhow::Result<ExitCode> {
    let CheckArgs { url, token, fingerprint, json, state } = arguments;
    let shown = io::stderr().is_terminal();
    // A closed terminal is nobody to tell.
    let mut begin = |name: &str| {
        if shown {
            let _ = write!(io::stderr(), "\r\x1b[K{name} ...");
        }
    };
    let report = check(Asked { url, token, fingerprint, state: state.first() }, &mut begin)?;
    if shown {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    let text = if json { format!("{}\n", report.json()) } else { readable(&report) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::from(status(report.verdict())))
}

fn status(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Well => 0,
        Verdict::Degraded => 1,
        Verdict::NoMedia => 2,
    }
}

fn readable(report: &Report) -> String {
    let mut text = String::new();
    for step in &report.steps {
        let mark = match step.outcome {
            Outcome::Fine => "ok",
            Outcome::Impaired => "LOOK",
            Outcome::Failed => "FAIL",
            Outcome::Skipped => "-",
        };
        let took = if step.outcome == Outcome::Skipped { String::new() } else { format!("{} ms", step.took.as_millis()) };
        text.push_str(format!("{mark:<5} {:<12} {took}", step.name).trim_end());
        text.push('\n');
        for line in lines(&step.advice) {
            text.push_str("      ");
            text.push_str(&line);
            text.push('\n');
        }
    }
    text.push_str(match report.verdict() {
        Verdict::Well => "\nAll is well: calls work from here.\n",
        Verdict::Degraded => "\nCalls work from here, but something should be done: see above.\n",
        Verdict::NoMedia => "\nNo call can work from here: see above.\n",
    });
    text
}

/// Cuts between words.
fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::check::report::Step;

    #[test]
    fn people_read_a_ladder() {
        let step = |name, outcome, advice: &str| Step { name, outcome, took: Duration::from_millis(7), advice: advice.to_owned() };
        let steps = vec![step("dns", Outcome::Fine, ""), step("certificate", Outcome::Failed, "a b"), step("https", Outcome::Skipped, "c")];
        let text = readable(&Report { steps });
        assert_eq!(
            text,
            "ok    dns          7 ms\nFAIL  certificate  7 ms\n      a b\n-     https\n      c\n\nNo call can work from here: see above.\n"
        );
    }

    #[test]
    fn advice_is_cut_between_words() {
        let cut = lines(&"seven77 ".repeat(30));
        assert_eq!(cut.len(), 3);
        assert!(cut.iter().all(|line| line.chars().count() <= WIDTH && !line.ends_with(' ')));
        assert!(lines("").is_empty());
    }
}
