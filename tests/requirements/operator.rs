//! `konsil tenant` with `konsil key` against the real binary.

use std::fs;
use std::io::BufRead as _;
use std::os::unix::fs::PermissionsExt as _;

use super::real::Server;
use serde_json::Value;

/// An operator at the server's own machine.
struct Operator(Server);

impl Operator {
    fn start(name: &str) -> Self {
        Self(Server::start(name, &[]))
    }

    /// The lines that a command prints, each JSON.
    fn told(&self, line: &str) -> Vec<Value> {
        let output = self.0.run(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }

    /// The exit code of a command that is refused, with what it says.
    fn refused(&self, line: &str) -> (i32, String) {
        let output = self.0.run(line);
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    fn tenants(&self) -> Vec<String> {
        self.told("tenant list").iter().map(|tenant| tenant["id"].as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn organisations_come_change_and_go() {
    let mut server = Operator::start("operator-tenants");
    assert_eq!(server.tenants(), ["default"]);
    let made = server.told("tenant add praxis-7 --rooms 5 --retention 7");
    assert_eq!((made[0]["rooms_max"].as_u64(), made[0]["retention_days"].as_u64()), (Some(5), Some(7)));
    let key = server.told("key add --tenant praxis-7").remove(0);
    assert!(key["secret"].as_str().unwrap().len() >= 32);
    server.0.restart();
    let kept = server.told("tenant list").into_iter().find(|tenant| tenant["id"] == "praxis-7").unwrap();
    assert_eq!((&kept["keys"][0], &kept["retention_days"]), (&key["key"], &Value::from(7)));
    assert_eq!(server.told("tenant change praxis-7 --retention 90")[0]["retention_days"], 90);
    server.told(&format!("key revoke {}", key["key"].as_str().unwrap()));
    let kept = server.told("tenant list").into_iter().find(|tenant| tenant["id"] == "praxis-7").unwrap();
    assert_eq!(kept["keys"], Value::Array(Vec::new()), "a revoked key is not shown");
    server.told("tenant remove praxis-7");
    assert_eq!(server.tenants(), ["default"]);
}

#[test]
fn what_cannot_be_is_told_with_exit_code_2() {
    let mut server = Operator::start("operator-refusals");
    for (line, word) in [
        ("tenant add Praxis", "a-z"),
        ("tenant add a/b", "letters"),
        ("tenant add default", "exists already"),
        ("tenant add x --retention 91", "91"),
        ("tenant change nobody --rooms 1", "no such tenant"),
        ("tenant remove default", "stays"),
        ("key add --tenant nobody", "no such tenant"),
        ("key revoke APInobody", "no such API key"),
    ] {
        let (code, words) = server.refused(line);
        assert!(code == 2 && words.contains(word), "{line}: {code} {words}");
    }
    server.0.stop();
    let (code, words) = server.refused("tenant list");
    assert!(code == 2 && words.contains("konsil serve"), "{words}");
}

#[test]
fn nobody_else_may_open_the_socket() {
    let server = Operator::start("operator-socket");
    let mode = |name: &str| fs::metadata(server.0.dir.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("state"), mode("state/operator.sock")), (0o700, 0o600));
}
