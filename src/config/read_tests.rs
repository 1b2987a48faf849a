//! Configuration texts, good or bad.

use super::*;
use crate::config::{CertificateFiles, Crypto, Level};

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { file: Some(("konsil.toml", text)), environment: &environment, cores: 4 };
    read(&sources).map_err(|faults| faults.0.iter().map(Fault::to_string).collect())
}

fn faults(text: &str) -> Vec<String> {
    with(text, &[]).unwrap_err()
}

#[test]
fn nothing_given_means_defaults() {
    assert_eq!(with("", &[]), Ok(Config::with_cores(4)));
    let config = Config::with_cores(4);
    assert_eq!((config.media.workers, config.http.listen.to_string().as_str()), (4, "[::]:8443"));
    assert_eq!((Config::with_cores(0).media.workers, Config::with_cores(999).media.workers), (1, 32));
}

#[test]
fn annotated_file_shows_every_default() {
    let text = include_str!("../../config/konsil.toml");
    assert_eq!(with(text, &[]), Ok(Config::with_cores(4)));
    // Each "#key = value" line is a default; taking the mark away must change nothing.
    let lines = text.lines().map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line));
    let bare = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(with(&bare, &[]), Ok(Config::with_cores(4)));
    let table = DeTable::parse(&bare).unwrap();
    for setting in SETTINGS {
        let shown = |name: &str| match name.split_once('.') {
            Some((section, key)) => table.get_ref().get(section).is_some_and(|keys| keys.get_ref().get(key).is_some()),
            None => table.get_ref().get(name).is_some(),
        };
        // The number of cores is the machine's, so this one default cannot be written down.
        assert!(shown(setting.name) || setting.name == "media.workers", "{} is not shown", setting.name);
    }
    assert!(text.contains("\n# workers = 4\n"));
}

#[test]
fn every_key_is_read() {
    let text = r#"
        http.listen = "192.0.2.1:443"
        http.cert = "/etc/konsil/cert.pem"
        http.key = "/etc/konsil/key.pem"
        http.plain_listen = "[::1]:8080"
        http.trusted_proxies = ["10.0.0.0/8"]
        media.udp_listen = ["[::]:3478", "0.0.0.0:443"]
        media.advertise = ["203.0.113.7", "2001:db8::7"]
        media.workers = 0x10
        media.dscp = 0
        media.receive_buffer = 1_048_576
        media.send_buffer = 65536
        metrics.listen = "0.0.0.0:9478"
        media.tcp_listen = ["0.0.0.0:80"]
        turn.relay = "open"
        turn.secrets = ["0123456789abcdefghij"]
        turn.realm = "clinic.example"
        turn.ports = "50000-50999"
        turn.allow_peers = ["10.0.0.0/8"]
        turn.allocations_per_user = 9
        turn.allocations = 100
        turn.permissions = 10
        turn.channels = 11
        turn.bits_per_s = 1000000
        rooms.auto_create = false
        rooms.auto_e2ee = "required"
        rooms.max_participants = 2
        rooms.empty_timeout_s = 60
        limits.connections = 100
        limits.connections_per_source = 50
        limits.rooms = 10
        limits.sessions = 20
        log.level = "debug"
        log.json = true
    "#;
    let config = with(text, &[]).unwrap();
    assert_eq!(config.http.certificate, Some(CertificateFiles { cert: "/etc/konsil/cert.pem".into(), key: "/etc/konsil/key.pem".into() }));
    assert_eq!((config.http.plain_listen.unwrap().port(), config.http.trusted_proxies.len()), (8080, 1));
    assert_eq!((config.media.udp_listen.len(), config.media.advertise.len(), config.media.workers, config.media.dscp), (2, 2, 16, 0));
    assert_eq!((config.media.receive_buffer, config.media.send_buffer), (1 << 20, 65536));
    assert!(!config.rooms.auto_create && config.rooms.auto_e2ee_required);
    assert_eq!((config.rooms.max_participants, config.rooms.empty_timeout_s), (2, 60));
    assert_eq!(
        (config.limits.connections, config.limits.connections_per_source, config.limits.rooms, config.limits.sessions),
        (100, 50, 10, 20)
    );
    assert_eq!((config.log.level, config.log.json), (Level::Debug, true));
}

#[test]
fn faults_name_file_line_key_and_rule() {
    assert_eq!(faults("\n[media]\nworkers = 99\n"), ["konsil.toml:3: media.workers = 99: must be a whole number between 1 and 32"]);
    assert_eq!(faults("rooms.auto_e2ee = 'maybe'"), ["konsil.toml:1: rooms.auto_e2ee = 'maybe': must be \"optional\" or \"required\""]);
}

#[test]
fn all_faults_are_told_in_the_order_of_the_file() {
    let told = faults("[rooms]\nmax_participants = 1\n[http]\nlisten = 8443\nlog = 1\n[media]\nudp_listen = []\ndscp = 64\n");
    let lines: Vec<&str> = told.iter().map(|fault| fault.split(": ").next().unwrap()).collect();
    assert_eq!(lines, ["konsil.toml:2", "konsil.toml:4", "konsil.toml:5", "konsil.toml:7", "konsil.toml:8"]);
}

#[test]
fn unknown_names_come_with_the_nearest_one() {
    assert_eq!(faults("[media]\nworker = 2"), ["konsil.toml:2: media.worker: unknown key; did you mean media.workers?"]);
    assert_eq!(faults("[htpp]\nlisten = ''"), ["konsil.toml:1: [htpp]: unknown section; did you mean [http]?"]);
    assert_eq!(faults("http = 1"), ["konsil.toml:1: http: must be a section, [http], with keys below it"]);
}

#[test]
fn the_profile_stands_above_all_sections() {
    assert_eq!(with("", &[]).unwrap().crypto, Crypto::Default);
    assert_eq!(with("crypto = 'bsi'\n[http]\n", &[]).unwrap().crypto, Crypto::Bsi);
    assert_eq!(with("crypto = 'default'", &[("KONSIL_CRYPTO", "bsi")]).unwrap().crypto, Crypto::Bsi);
    assert_eq!(faults("\ncrypto = 'fips'"), ["konsil.toml:2: crypto = 'fips': must be \"default\" or \"bsi\""]);
    assert_eq!(faults("[crypto]\nbsi = true").len(), 1);
    assert_eq!(with("", &[("KONSIL_CRYPTO", "")]).unwrap_err(), ["KONSIL_CRYPTO=: must be \"default\" or \"bsi\""]);
    // Another one's variable, by its name.
    assert_eq!(with("", &[("KONSIL_CRYPTO_BAR", "x")]).unwrap().crypto, Crypto::Default);
    assert!(is_strange("KONSIL_CRYPTO_BAR") && !is_strange("KONSIL_CRYPTO"));
}

#[test]
fn secrets_are_read_and_never_shown() {
    let told = faults("[turn]\nsecrets = ['hush-hush']");
    assert_eq!(told, ["konsil.toml:2: turn.secrets = …: each entry must have 20 to 512 bytes"]);
    let told = with("", &[("KONSIL_TURN_SECRETS", "hush-hush")]).unwrap_err();
    assert!(told.len() == 1 && !told[0].contains("hush"), "{told:?}");
    let two = ["0123456789abcdefghij", "abcdefghij0123456789"];
    let config = with("", &[("KONSIL_TURN_SECRETS", &two.join(","))]).unwrap();
    assert_eq!(config.turn.secrets.iter().map(crate::config::TurnSecret::expose).collect::<Vec<_>>(), two);
    let three = format!("{},{},{}", two[0], two[1], two[0]);
    assert!(
        with("", &[("KONSIL_TURN_SECRETS", &three)]).unwrap_err()[0].ends_with("at most two entries: the one in use and the one before it")
    );
}

#[test]
fn the_relay_is_closed_unless_told() {
    let config = with("", &[]).unwrap();
    assert!(!config.turn.open && config.turn.secrets.is_empty() && config.media.tcp_listen.is_empty());
    let text = "[turn]\nrelay = 'open'\nports = '50000-50100'\nallow_peers = ['10.0.0.0/8']\n[media]\ntcp_listen = ['[::]:80']";
    let config = with(text, &[]).unwrap();
    assert!(config.turn.open && config.turn.ports.range().count() == 101 && config.turn.allow_peers.len() == 1);
    for wrong in ["relay = 'ajar'", "ports = '1-2'", "realm = ''", "realm = 'a\\\"b'", "allow_peers = ['10.0.0.1/8']", "bits_per_s = 1"] {
        assert_eq!(faults(&format!("[turn]\n{wrong}")).len(), 1, "{wrong}");
    }
}

#[test]
fn broken_toml_names_its_line() {
    let told = faults("[http]\nlisten = \"x\n");
    assert!(told[0].starts_with("konsil.toml:2: this is not TOML: "), "{told:?}");
    assert!(faults("[http]\n[http]\n")[0].starts_with("konsil.toml:2: "));
}

#[test]
fn variables_win_over_the_file() {
    let variables = [("KONSIL_MEDIA_ADVERTISE", "203.0.113.7, 2001:db8::7"), ("KONSIL_ROOMS_MAX_PARTICIPANTS", "5"), ("PATH", "/bin")];
    let config = with("[rooms]\nmax_participants = 7", &variables).unwrap();
    assert_eq!((config.media.advertise.len(), config.rooms.max_participants), (2, 5));
    let config = with("[media]\nadvertise = ['203.0.113.7']", &[("KONSIL_MEDIA_ADVERTISE", "")]).unwrap();
    assert!(config.media.advertise.is_empty());
}

#[test]
fn faults_of_variables_name_them() {
    let told = with("", &[("KONSIL_MEDIA_WORKERS", "99"), ("KONSIL_HTTP_LISTN", "x"), ("KONSIL_LOG_JSON", "yes"), ("KONSIL_ELSE_X", "y")]);
    let expected = [
        "KONSIL_HTTP_LISTN: unknown key; did you mean http.listen?",
        "KONSIL_LOG_JSON=yes: must be true or false",
        "KONSIL_MEDIA_WORKERS=99: must be a whole number between 1 and 32",
    ];
    assert_eq!(told.unwrap_err(), expected);
}

#[test]
fn clear_text_stays_on_this_machine() {
    for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:80"] {
        assert!(faults(&format!("http.plain_listen = '{address}'"))[0].contains("loopback"));
    }
    assert_eq!(with("http.plain_listen = ''", &[]), Ok(Config::with_cores(4)));
}

#[test]
fn keys_that_bind_each_other_are_checked() {
    assert_eq!(faults("http.cert = 'c.pem'"), ["konsil.toml:1: http.cert = 'c.pem': needs http.key as well"]);
    assert_eq!(faults("http.key = 'k.pem'").len(), 1);
    assert_eq!(faults("http.listen = '[::]:9478'").len(), 1);
    assert_eq!(faults("metrics.listen = '127.0.0.1:8443'").len(), 1);
    assert_eq!(faults("http.plain_listen = '127.0.0.1:8443'").len(), 1);
    assert_eq!(faults("http.plain_listen = '127.0.0.1:9478'").len(), 1);
    assert_eq!(faults("limits.connections = 20").len(), 1);
    assert!(with("http.listen = '[::]:0'\nmetrics.listen = '127.0.0.1:0'", &[]).is_ok());
}

#[test]
fn useless_addresses_are_refused() {
    for value in ["['0.0.0.0']", "['::']", "['224.0.0.1']", "['203.0.113.7:1']", "'203.0.113.7'", "[1]"] {
        assert_eq!(faults(&format!("media.advertise = {value}")).len(), 1, "{value}");
    }
    assert_eq!(faults("media.udp_listen = ['[::]:1', '[::]:1']").len(), 1);
    assert!(with("media.udp_listen = ['[::]:0', '[::]:0']", &[]).is_ok());
}

#[test]
fn sizes_are_bounded() {
    assert_eq!(faults(&"#\n".repeat(TEXT_MAX)).len(), 1);
    let list = "'203.0.113.7',".repeat(65);
    assert!(faults(&format!("media.advertise = [{list}]"))[0].ends_with("must have at most 64 entries"));
    let long = faults(&format!("http.listen = '{}'", "x".repeat(5000)));
    assert!(long[0].len() < 300 && long[0].contains('…'));
    let many: Vec<String> = (0..500).map(|number| format!("k{number} = 1")).collect();
    assert_eq!(faults(&format!("[http]\n{}", many.join("\n"))).len(), FAULTS_MAX);
}

#[test]
fn variables_of_sections_that_do_not_exist_are_strange() {
    for strange in ["KONSIL_ROOM_AUTO_CREATE", "KONSIL_FOO_BAR"] {
        assert!(is_strange(strange), "{strange}");
    }
    for known in ["KONSIL_ROOMS_AUTO_CREATE", "KONSIL_HTTP_LISTEN", "KONSIL_BIN", "PATH", "KONSILX_A_B"] {
        assert!(!is_strange(known), "{known}");
    }
}
