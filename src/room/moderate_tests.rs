//! Moderators' orders as each person in the room hears of them.

use super::super::testing::{Scene, guest, told, track};
use super::*;
use crate::model::grants::Grants;
use crate::model::ids::Identity;
use crate::model::media::TrackSource;
use crate::room::command::{Layout, Signal, SubscriptionRules};
use crate::room::media::MediaRights;

fn all() -> Permission {
    Permission { subscribe: true, publish: true, publish_data: true, sources: Vec::new(), hidden: false, update_metadata: true }
}

fn permit(scene: &mut Scene, session: SessionId, wanted: &Permission) -> Vec<Effect> {
    scene.effects(|room, now, _, out| room.update_participant(session, Profile::default(), Some(wanted), now, out).unwrap())
}

fn describe(scene: &mut Scene, session: SessionId, profile: Profile) -> Result<Vec<Effect>, Unfit> {
    let mut result = Ok(());
    let effects = scene.effects(|room, now, _, out| result = room.update_participant(session, profile, None, now, out));
    result.map(|()| effects)
}

/// The last that a client hears of another one.
fn view(effects: &[Effect], at: SessionId, of: &str) -> Option<ParticipantView> {
    let views = told(effects, at).filter_map(|notice| if let Notice::Participants(views) = notice { Some(views) } else { None });
    views.flatten().filter(|view| view.identity.as_str() == of).last().cloned()
}

fn media(effects: &[Effect]) -> Vec<&MediaCommand> {
    effects.iter().filter_map(|effect| if let Effect::Media(command) = effect { Some(command) } else { None }).collect()
}

fn token(effects: &[Effect], at: SessionId) -> Option<&Grants> {
    told(effects, at).find_map(|notice| if let Notice::Token(grants) = notice { Some(&**grants) } else { None })
}

#[test]
fn who_may_not_publish_any_more_publishes_nothing() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let (camera, sound) = (scene.publish(anna, TrackSource::Camera), scene.publish(anna, TrackSource::Microphone));
    let effects = permit(&mut scene, anna, &Permission { sources: vec![TrackSource::Microphone], ..all() });
    assert!(told(&effects, anna).any(|notice| *notice == Notice::TrackUnpublished { track: camera.clone() }));
    let seen = view(&effects, bert, "anna").unwrap();
    assert_eq!(seen.tracks.iter().map(|track| &track.sid).collect::<Vec<_>>(), [&sound]);
    assert_eq!(view(&effects, anna, "anna").unwrap().permission.sources, [TrackSource::Microphone]);

    let effects = permit(&mut scene, anna, &Permission { publish: false, publish_data: false, ..all() });
    let rights = MediaRights { publish: false, subscribe: true, data: false, hidden: false };
    assert_eq!(media(&effects)[0], &MediaCommand::SetRights { session: anna, rights }, "before anything else");
    assert!(media(&effects).contains(&&MediaCommand::RemoveTrack { session: anna, track: sound }));
    assert!(view(&effects, bert, "anna").unwrap().tracks.is_empty());
    let fresh = token(&effects, anna).unwrap();
    assert!(!fresh.can_publish && !fresh.can_publish_data && fresh.can_subscribe);
    let again = scene.say(anna, Signal::AddTrack(track(TrackSource::Camera)));
    assert_eq!(told(&again, anna).next(), Some(&Notice::Response { request_id: 0, outcome: Outcome::NotAllowed }));
    assert_eq!(permit(&mut scene, anna, &Permission { publish: false, publish_data: false, ..all() }), [], "nothing new");
    permit(&mut scene, anna, &all());
    scene.publish(anna, TrackSource::Camera);
}

#[test]
fn who_may_not_subscribe_any_more_receives_nothing() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let track = scene.publish(anna, TrackSource::Camera);
    let effects = permit(&mut scene, bert, &Permission { subscribe: false, ..all() });
    assert_eq!(media(&effects)[1], &MediaCommand::Unsubscribe { session: bert, track: track.clone() });
    assert!(!token(&effects, bert).unwrap().can_subscribe);
    let effects = permit(&mut scene, bert, &all());
    let publisher = scene.room.sid_of(anna).unwrap().clone();
    assert_eq!(media(&effects)[1], &MediaCommand::Subscribe { session: bert, track, publisher });
}

#[test]
fn who_is_hidden_leaves_for_the_others() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let track = scene.publish(anna, TrackSource::Camera);
    let before = view(&permit(&mut scene, anna, &Permission { update_metadata: false, ..all() }), bert, "anna").unwrap();
    let effects = permit(&mut scene, anna, &Permission { hidden: true, ..all() });
    let gone = view(&effects, bert, "anna").unwrap();
    assert!(gone.state == ParticipantState::Disconnected && gone.version > before.version);
    assert!(media(&effects).contains(&&MediaCommand::RemoveTrack { session: anna, track }), "a track would name its publisher");
    assert_eq!(scene.room.view().participants, 1);
    let effects = scene.effects(|room, now, _, out| room.resume(bert, now, out));
    assert_eq!(view(&effects, bert, "anna").unwrap().state, ParticipantState::Disconnected, "who was not listening learns it too");
    let back = view(&permit(&mut scene, anna, &all()), bert, "anna").unwrap();
    assert!(back.state == ParticipantState::Joined && back.version > gone.version);
    let effects = scene.effects(|room, now, _, out| room.resume(bert, now, out));
    assert_eq!(view(&effects, bert, "anna").unwrap().state, ParticipantState::Joined);
}

#[test]
fn what_a_way_in_forbids_no_moderator_allows() {
    let mut scene = Scene::new(false);
    let encoder = scene.join_as(1, Layout::Whip, guest("encoder"));
    let anna = scene.join(2, guest("anna"));
    scene.publish(anna, TrackSource::Camera);
    let effects = permit(&mut scene, encoder, &Permission { update_metadata: false, ..all() });
    let rights = MediaRights { publish: true, subscribe: false, data: true, hidden: false };
    assert_eq!(media(&effects), [&MediaCommand::SetRights { session: encoder, rights }]);
}

#[test]
fn descriptions_are_told_to_all() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let attributes = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let profile = Profile { name: "Anna".to_owned(), metadata: "about".to_owned(), attributes: attributes(&[("a", "1"), ("b", "2")]) };
    let effects = describe(&mut scene, anna, profile.clone()).unwrap();
    for at in [anna, bert] {
        let seen = view(&effects, at, "anna").unwrap();
        assert_eq!(
            (seen.name, seen.metadata, seen.attributes),
            (profile.name.clone(), profile.metadata.clone(), profile.attributes.clone())
        );
    }
    assert_eq!(token(&effects, anna).unwrap().name, "Anna");
    assert_eq!(token(&effects, bert), None);
    let effects = describe(&mut scene, anna, Profile { attributes: attributes(&[("a", "")]), ..Profile::default() }).unwrap();
    let seen = view(&effects, bert, "anna").unwrap();
    assert_eq!((seen.name.as_str(), seen.attributes), ("Anna", attributes(&[("b", "2")])));
    assert_eq!(describe(&mut scene, anna, Profile::default()), Ok(vec![]), "nothing is told where nothing changed");
}

#[test]
fn descriptions_are_bounded_and_taken_whole_or_not_at_all() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, guest("anna"));
    let many = |count: usize| (0..count).map(|at| (at.to_string(), "x".to_owned())).collect();
    let profiles = [
        (Profile { name: "x".repeat(DISPLAY_NAME_MAX + 1), ..Profile::default() }, Unfit::Name),
        (Profile { metadata: "x".repeat(METADATA_MAX + 1), ..Profile::default() }, Unfit::Metadata),
        (Profile { attributes: many(ATTRIBUTES_MAX + 1), ..Profile::default() }, Unfit::Attributes),
        (Profile { attributes: [("a".to_owned(), "x".repeat(METADATA_MAX))].into(), ..Profile::default() }, Unfit::Attributes),
        (Profile { attributes: [("konsil.role".to_owned(), "host".to_owned())].into(), ..Profile::default() }, Unfit::Reserved),
    ];
    let before = scene.room.participants();
    for (profile, unfit) in profiles {
        let name = if profile.name.is_empty() { "new".to_owned() } else { profile.name.clone() };
        assert_eq!(describe(&mut scene, anna, Profile { name, ..profile }), Err(unfit));
    }
    assert_eq!(scene.room.participants(), before);
    let most = Profile { name: "x".repeat(DISPLAY_NAME_MAX), metadata: "x".repeat(METADATA_MAX), attributes: many(ATTRIBUTES_MAX) };
    assert!(describe(&mut scene, anna, most).is_ok());
}

#[test]
fn moderators_subscribe_as_rules_allow() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let track = scene.publish(anna, TrackSource::Camera);
    let subscribe = |scene: &mut Scene, track: &Sid, yes| {
        let tracks = [track.clone(), Sid::from_client("TR_nothing")];
        scene.effects(|room, _, _, out| room.update_subscriptions(bert, &tracks, yes, out))
    };
    let effects = subscribe(&mut scene, &track, false);
    assert_eq!(media(&effects), [&MediaCommand::Unsubscribe { session: bert, track: track.clone() }]);
    assert_eq!(subscribe(&mut scene, &track, false), []);
    assert_eq!(media(&subscribe(&mut scene, &track, true)).len(), 1);
    scene.say(anna, Signal::SubscriptionPermission(SubscriptionRules::default()));
    assert_eq!(subscribe(&mut scene, &track, true), [], "the publisher allows nobody");
}

#[test]
fn what_is_said_twice_is_sent_once() {
    let mut scene = Scene::new(false);
    let message = |nonce: Option<u8>| DataMessage {
        payload: b"words".to_vec(),
        reliable: true,
        topic: None,
        nonce: nonce.map(|byte| [byte; 16]),
        identities: vec![Identity::new("anna").unwrap()],
        sids: Vec::new(),
    };
    let mut say = |nonce| scene.effects(|room, _, _, out| room.send_data(message(nonce), out)).len();
    assert_eq!([say(None), say(None), say(Some(0)), say(Some(0))], [1, 1, 1, 0]);
    for number in 1..=NONCES_MAX {
        assert_eq!(say(u8::try_from(number).ok()), 1);
    }
    assert_eq!(say(Some(0)), 1, "the oldest is forgotten");
    assert_eq!(scene.room.nonces.len(), NONCES_MAX);
}

#[test]
fn rooms_get_other_metadata() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, guest("anna"));
    let effects = scene.effects(|room, _, _, out| room.set_metadata("m".repeat(METADATA_MAX), out).unwrap());
    let [Notice::Room(view)] = told(&effects, anna).collect::<Vec<_>>()[..] else { panic!() };
    assert_eq!(view.metadata.len(), METADATA_MAX);
    assert_eq!(scene.room.set_metadata("m".repeat(METADATA_MAX + 1), &mut Vec::new()), Err(Unfit::Metadata));
    assert_eq!(scene.room.view().metadata.len(), METADATA_MAX);
    scene.room.set_metadata(String::new(), &mut Vec::new()).unwrap();
    assert_eq!(scene.room.view().metadata, "");
}
