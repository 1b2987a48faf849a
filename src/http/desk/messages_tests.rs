//! Words of the desk as they are on the wire.

use serde_json::{Value, json};

use super::*;
use crate::model::ids::InvitationId;
use crate::model::role::Role;
use crate::room::desk::{Invited, Standing};

fn person(identity: &str) -> Identity {
    Identity::new(identity).unwrap()
}

fn wire(told: &Told<'_>) -> Value {
    serde_json::to_value(told).unwrap()
}

#[test]
fn orders_are_read() {
    let order = |kind: &str| hear(&json!({"type": kind, "identity": "a"}).to_string()).unwrap();
    let expected = [
        ("admit", DeskSaid::Admit(person("a"))),
        ("refuse", DeskSaid::Refuse(person("a"))),
        ("putback", DeskSaid::PutBack(person("a"))),
        ("remove", DeskSaid::Remove(person("a"))),
        ("mute", DeskSaid::Mute(person("a"))),
        ("mismatch", DeskSaid::Mismatch(person("a"))),
    ];
    for (kind, said) in expected {
        assert_eq!(order(kind), said);
    }
    assert_eq!(hear(r#"{"type":"lock","locked":true}"#), Ok(DeskSaid::Lock(true)));
    assert_eq!((hear(r#"{"type":"end"}"#), hear(r#"{"type":"leave"}"#)), (Ok(DeskSaid::End), Ok(DeskSaid::Leave)));
    let message = hear(r#"{"type":"message","to":"b","body":"words"}"#).unwrap();
    assert_eq!(message, DeskSaid::Message { to: person("b"), body: Body("words".into()) });
    assert!(!format!("{message:?}").contains("words"));
}

#[test]
fn other_texts_are_refused_without_being_repeated() {
    for text in ["", "Erika", "[]", "{}", r#"{"type":"Erika"}"#, r#"{"type":"admit"}"#, r#"{"type":"lock","locked":"Erika"}"#] {
        assert_eq!(hear(text), Err(SaidError::Malformed), "{text}");
    }
    let named = |name: &str| hear(&json!({"type": "admit", "identity": name}).to_string()).map(|_| ());
    assert_eq!((named(""), named(&"x".repeat(257)), named("a\nb")), (Err(SaidError::Name), Err(SaidError::Name), Err(SaidError::Name)));
    let said = |body: usize| hear(&json!({"type": "message", "to": "b", "body": "x".repeat(body)}).to_string()).map(|_| ());
    assert_eq!((said(BODY_MAX), said(BODY_MAX + 1)), (Ok(()), Err(SaidError::TooLong)));
    for error in [SaidError::Malformed, SaidError::TooLong, SaidError::Name] {
        assert_eq!(wire(&refused(error))["type"], "refused");
    }
}

#[test]
fn notices_have_the_agreed_form() {
    let standing = Standing { waiting: true, identity: person("a"), role: Role::Guest, mode: RoomMode::Sfu, locked: false };
    let expected = json!({"type": "standing", "state": "waiting", "identity": "a", "role": "guest", "mode": "sfu", "locked": false});
    assert_eq!(wire(&told(&DeskNotice::Standing(standing))), expected);
    let invited = Invited { id: InvitationId::new("i").unwrap(), sealed: Some(Secret::new("s".to_owned())), secret: None };
    let view = |identity, waiting, invited| PersonView { identity: person(identity), role: Role::Guest, waiting, since: 5, invited };
    let people = [view("a", true, Some(invited)), view("b", false, None)];
    let expected = json!({"type": "people", "people": [
        {"identity": "a", "role": "guest", "state": "waiting", "since": 5, "invitation": {"id": "i", "sealed": "s"}},
        {"identity": "b", "role": "guest", "state": "here", "since": 5},
    ]});
    assert_eq!(wire(&told(&DeskNotice::People(people.as_slice().into()))), expected);
    let message = DeskNotice::Message { from: person("a"), body: Body("words".into()) };
    assert_eq!(wire(&told(&message)), json!({"type": "message", "from": "a", "body": "words"}));
    assert_eq!(wire(&told(&DeskNotice::Mute)), json!({"type": "mute"}));
    assert_eq!(wire(&told(&DeskNotice::Refused(DeskFault::TooMany)))["reason"], "too-many");
    assert_eq!(wire(&told(&DeskNotice::Bye(Bye::Shutdown))), json!({"type": "bye", "reason": "shutdown", "rejoin": true}));
}
