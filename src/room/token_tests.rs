//! Fresh tokens: when they come, what they say.

use super::super::testing::{NOW, Scene, guest, told};
use super::*;
use crate::model::grants::Grants;
use crate::room::command::{Leg, Signal};
use crate::room::moderate::Profile;
use crate::room::notice::LeaveReason;

/// The token that a client is told, of which there is one at most.
fn token(effects: &[Effect], session: SessionId) -> Option<Grants> {
    let mut tokens = told(effects, session).filter_map(|notice| match notice {
        Notice::Token(grants) => Some((**grants).clone()),
        _ => None,
    });
    let token = tokens.next();
    assert!(tokens.next().is_none());
    token
}

#[test]
fn a_client_always_has_a_token_that_lasts() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, guest("anna"));
    let (second, first) = (Duration::from_secs(1), Duration::from_mins(55));
    assert_eq!(scene.room.next_timeout(), Some((scene.now.instant + first, "token")));
    assert_eq!(token(&scene.pass(first.saturating_sub(second)), anna), None);
    let fresh = token(&scene.pass(second), anna).unwrap();
    assert_eq!(fresh, Grants { expires_at: NOW + first.as_secs() + TOKEN_LIFE.as_secs(), ..guest("anna") });
    for _ in 0..3 {
        let next = TOKEN_LIFE.saturating_sub(TOKEN_LEAD);
        assert_eq!(scene.room.next_timeout(), Some((scene.now.instant + next, "token")));
        let fresh = token(&scene.pass(next), anna).unwrap();
        assert_eq!(fresh.expires_at, scene.now.unix_seconds() + TOKEN_LIFE.as_secs());
    }
}

#[test]
fn tokens_that_end_soon_are_replaced_at_once_and_others_never() {
    let mut scene = Scene::new(false);
    let short = scene.join(1, Grants { expires_at: NOW + 60, ..guest("short") });
    let past = scene.join(2, Grants { expires_at: 0, ..guest("past") });
    let long = scene.join(3, Grants { expires_at: u64::MAX, ..guest("long") });
    let effects = scene.pass(Duration::ZERO);
    assert!(token(&effects, short).is_some() && token(&effects, past).is_some() && token(&effects, long).is_none());
    scene.room.remove(short, LeaveReason::Removed, scene.now, &mut Vec::new());
    scene.room.remove(past, LeaveReason::Removed, scene.now, &mut Vec::new());
    let effects = scene.pass(Duration::from_hours(1_000));
    assert_eq!(effects, [], "whoever is gone gets none");
}

#[test]
fn only_clients_of_livekits_signalling_get_tokens() {
    let mut scene = Scene::new(false);
    for (number, layout) in [Layout::Whip, Layout::Whep].into_iter().enumerate() {
        scene.join_as(number as u64, layout, Grants { expires_at: NOW + 60, ..guest(&number.to_string()) });
    }
    assert_eq!((scene.room.next_timeout(), scene.pass(Duration::from_mins(20))), (None, Vec::new()));
}

#[test]
fn who_is_away_gets_a_token_with_the_resume() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, Grants { expires_at: NOW + 60, ..guest("anna") });
    scene.room.detach(anna, scene.now);
    assert_eq!(scene.room.next_timeout().unwrap().1, "resume window", "a timer that cannot do its work would spin");
    assert_eq!(token(&scene.pass(Duration::from_secs(5)), anna), None);
    let effects = scene.effects(|room, now, _, out| room.resume(anna, now, out));
    assert_eq!(token(&effects, anna).unwrap().expires_at, NOW + 5 + TOKEN_LIFE.as_secs());
    assert_eq!(told(&effects, anna).next(), Some(&Notice::Reconnected), "the first word is another");
}

#[test]
fn what_changed_is_in_the_token() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, guest("anna"));
    let (name, metadata) = ("Anna".to_owned(), "about".to_owned());
    let attributes = [("hand".to_owned(), "raised".to_owned())];
    let profile = Profile { name: name.clone(), metadata: metadata.clone(), attributes: attributes.clone().into() };
    let signal = Signal::UpdateMetadata { request_id: 1, metadata, name, attributes: attributes.into() };
    let effects = scene.say(anna, signal);
    let expected = Grants { name: profile.name, metadata: profile.metadata, attributes: profile.attributes, ..guest("anna") };
    assert_eq!(token(&effects, anna), Some(expected), "it lasts as long as the first");
    let quiet = scene.say(anna, Signal::Trickle { leg: Leg::Publisher, candidate: String::new() });
    assert_eq!(token(&quiet, anna), None);
}
