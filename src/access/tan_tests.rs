//! TANs by the vectors that the page is tested with.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vectors {
    valid: Vec<Valid>,
    faulty: Vec<Faulty>,
}

#[derive(Deserialize)]
struct Valid {
    typed: String,
    tan: String,
    admit: String,
    secret: String,
}

#[derive(Deserialize)]
struct Faulty {
    typed: String,
    fault: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../web/test/tan-vectors.json")).unwrap()
}

fn tan(text: &str) -> Tan {
    Tan(normalise(text).unwrap().try_into().unwrap())
}

fn clinic() -> TenantId {
    TenantId::new("clinic").unwrap()
}

#[test]
fn page_and_server_read_alike() {
    for Valid { typed, tan: letter, admit, secret } in vectors().valid {
        let half = Admit::read_half(&admit).unwrap();
        assert_eq!(Admit::read(&typed), Ok(half), "{typed}");
        assert_eq!(Admit::read(&admit), Ok(half), "{admit}");
        let tan = tan(&typed);
        assert_eq!((tan.letter().expose(), tan.secret().expose()), (letter.as_str(), secret.as_str()));
        assert_eq!(tan.admit(), half);
    }
    for Faulty { typed, fault } in vectors().faulty {
        let expected = match fault.as_str() {
            "characters" => TanFault::Characters,
            "length" => TanFault::Length,
            _ => TanFault::Check,
        };
        assert_eq!(Admit::read(&typed), Err(expected), "{typed}");
    }
}

#[test]
fn one_wrong_character_or_two_swapped_are_always_noticed() {
    let mut chance = Chance::new([5; 32]);
    for _ in 0..50 {
        let Tan(right) = Tan::make(&mut chance);
        assert!(Admit::read(&text(&right)).is_ok());
        for at in 0..WHOLE {
            for character in ALPHABET {
                let mut wrong = right;
                wrong[at] = *character;
                assert_eq!(Admit::read(&text(&wrong)).is_ok(), wrong == right);
            }
            let mut swapped = right;
            swapped.swap(at, (at + 1) % WHOLE);
            if at + 1 < WHOLE {
                assert_eq!(Admit::read(&text(&swapped)).is_ok(), swapped == right);
            }
        }
    }
}

#[test]
fn half_a_tan_is_six_characters() {
    assert!(Admit::read("7kq2-m9").is_ok());
    for length in [0, 5, 7, 11, 13] {
        assert_eq!(Admit::read(&"0".repeat(length)), Err(TanFault::Length));
    }
    assert_eq!(Admit::read_half("0000-0000-0000"), Err(TanFault::Length), "whoever invites keeps the secret");
    assert_eq!(Admit::read(&"é".repeat(65)), Err(TanFault::Characters));
    assert_eq!(Admit::read(&format!("{}000000", " ".repeat(58))), Admit::read("000000"));
    assert_eq!(Admit::read(&format!("{}000000", " ".repeat(59))), Err(TanFault::Characters));
}

#[test]
fn hashes_are_bound_to_tenant_kind_key() {
    let (key, other) = (InvitationKey::new(b"secret"), InvitationKey::new(b"other"));
    let half = Admit::read("7KQ2M9").unwrap();
    let ward = TenantId::new("ward").unwrap();
    let hashes = [key.admit(&clinic(), &half), key.admit(&ward, &half), other.admit(&clinic(), &half), key.resume("7KQ2M9")];
    assert_eq!(hashes.iter().collect::<BTreeSet<_>>().len(), hashes.len());
    assert_eq!(key.admit(&clinic(), &Admit::read("7kq-2m9").unwrap()), hashes[0]);
}

#[test]
fn nothing_of_a_tan_is_shown() {
    let tan = tan("7KQ2-M9XC-4TBN");
    let shown = format!("{tan:?} {:?} {:?} {:?} {:?}", tan.admit(), tan.secret(), tan.letter(), InvitationKey::new(b"x"));
    assert_eq!(shown, "Tan(..) Admit(..) Secret(..) Secret(..) InvitationKey(..)");
    assert!(!TanFault::Check.to_string().contains("7KQ2"));
}

#[test]
fn resume_secrets_have_128_bits() {
    let mut chance = Chance::new([1; 32]);
    let secrets = [resume_secret(&mut chance), resume_secret(&mut chance)];
    assert_eq!(secrets[0].expose().len(), 22);
    assert!(secrets[0] != secrets[1]);
}
