//! Data tracks between three people, by the room's rules.

use super::super::testing::{Scene, guest, told};
use super::*;
use crate::model::grants::Grants;
use crate::room::command::{Layout, Signal, SubscriptionRule, SubscriptionRules};
use crate::room::moderate::Profile;
use crate::room::notice::{LeaveReason, ParticipantView, Permission};

fn wanted(handle: u32, name: &str) -> PublishData {
    PublishData { handle, name: name.to_owned(), encryption: Encryption::None, typing: vec![1] }
}

fn publish(scene: &mut Scene, session: SessionId, track: PublishData) -> Result<(DataTrackView, Vec<Effect>), Outcome> {
    let effects = scene.say(session, Signal::PublishData(track));
    let answer = told(&effects, session).find_map(|notice| match notice {
        Notice::DataTrackPublished(track) => Some(Ok(track.clone())),
        Notice::DataTrackRefused { publish: true, outcome, .. } => Some(Err(*outcome)),
        _ => None,
    });
    answer.unwrap().map(|track| (track, effects))
}

fn subscribe(scene: &mut Scene, session: SessionId, track: &Sid, yes: bool) -> Vec<Effect> {
    scene.say(session, Signal::DataSubscription(vec![(track.clone(), yes), (Sid::from_client("DTR_nothing"), yes)]))
}

fn media(effects: &[Effect]) -> Vec<&MediaCommand> {
    effects.iter().filter_map(|effect| if let Effect::Media(command) = effect { Some(command) } else { None }).collect()
}

/// The numbers that a client is told, with their tracks.
fn handles(effects: &[Effect], session: SessionId) -> Vec<(u16, Sid)> {
    let lists = told(effects, session).filter_map(|notice| if let Notice::DataHandles(handles) = notice { Some(handles) } else { None });
    lists.flatten().map(|one| (one.handle, one.track.clone())).collect()
}

fn seen(effects: &[Effect], session: SessionId) -> ParticipantView {
    let views = told(effects, session).filter_map(|notice| if let Notice::Participants(views) = notice { Some(views) } else { None });
    views.last().unwrap()[0].clone()
}

#[test]
fn what_is_published_is_forwarded_to_those_who_ask() {
    let mut scene = Scene::new(false);
    let [anna, bert, cleo] = ["anna", "bert", "cleo"].map(guest);
    let (anna, bert, cleo) = (scene.join(1, anna), scene.join(2, bert), scene.join(3, cleo));
    let (track, effects) = publish(&mut scene, anna, wanted(9, "pulse")).unwrap();
    assert_eq!((track.handle, track.name.as_str(), &track.typing), (9, "pulse", &vec![1]));
    assert!(seen(&effects, bert).data_tracks == [track.clone()] && seen(&effects, bert).is_publisher);
    assert_eq!(media(&effects), [&MediaCommand::AddDataTrack { session: anna, track: track.sid.clone(), handle: 9 }]);
    let sid = &track.sid;
    let effects = subscribe(&mut scene, bert, sid, true);
    assert_eq!(handles(&effects, bert), [(1, sid.clone())]);
    assert_eq!(media(&effects), [&MediaCommand::SubscribeData { session: bert, track: sid.clone(), handle: 1 }]);
    let again = subscribe(&mut scene, bert, sid, true);
    assert!(handles(&again, bert) == [(1, sid.clone())] && media(&again).is_empty(), "who asks again may have missed the answer");
    assert_eq!(subscribe(&mut scene, anna, sid, true), [], "nobody receives its own");
    let (other, _) = publish(&mut scene, cleo, wanted(9, "pulse")).unwrap();
    assert_eq!(handles(&subscribe(&mut scene, bert, &other.sid, true), bert), [(2, other.sid.clone())]);
    let effects = scene.effects(|room, now, _, out| room.resume(bert, now, out));
    assert_eq!(handles(&effects, bert).len(), 2, "and may have missed all");
    let effects = subscribe(&mut scene, bert, sid, false);
    assert_eq!(media(&effects), [&MediaCommand::UnsubscribeData { session: bert, track: sid.clone() }]);
    assert_eq!(handles(&subscribe(&mut scene, bert, sid, true), bert), [(3, sid.clone())]);
}

#[test]
fn what_ends_is_forgotten() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let (track, _) = publish(&mut scene, anna, wanted(1, "a")).unwrap();
    subscribe(&mut scene, bert, &track.sid, true);
    let effects = scene.say(anna, Signal::UnpublishData { handle: 1 });
    assert_eq!(told(&effects, anna).next(), Some(&Notice::DataTrackUnpublished(track.clone())));
    assert_eq!(media(&effects), [&MediaCommand::RemoveDataTrack { session: anna, track: track.sid }]);
    assert!(seen(&effects, bert).data_tracks.is_empty());
    let refused = Notice::DataTrackRefused { handle: 1, publish: false, outcome: Outcome::NotFound };
    assert_eq!(told(&scene.say(anna, Signal::UnpublishData { handle: 1 }), anna).next(), Some(&refused));
    let (track, _) = publish(&mut scene, anna, wanted(1, "a")).unwrap();
    subscribe(&mut scene, bert, &track.sid, true);
    let effects = scene.effects(|room, now, _, out| room.remove(anna, LeaveReason::ClientInitiated, now, out));
    assert!(seen(&effects, bert).data_tracks.is_empty());
    let left = &scene.room.participants[&bert];
    assert!(left.data_asked.is_empty() && left.data_handles.is_empty());
}

#[test]
fn data_tracks_are_checked_and_few() {
    let mut scene = Scene::new(false);
    let anna = scene.join(1, guest("anna"));
    publish(&mut scene, anna, wanted(1, "a")).unwrap();
    let table = [
        (wanted(0, "b"), Outcome::InvalidHandle),
        (wanted(65_536, "b"), Outcome::InvalidHandle),
        (wanted(2, ""), Outcome::InvalidName),
        (wanted(2, &"x".repeat(NAME_MAX + 1)), Outcome::InvalidName),
        (wanted(1, "b"), Outcome::DuplicateHandle),
        (wanted(2, "a"), Outcome::DuplicateName),
        (PublishData { typing: vec![0; TYPING_MAX + 1], ..wanted(2, "b") }, Outcome::Invalid),
    ];
    for (track, outcome) in table {
        assert_eq!(publish(&mut scene, anna, track).unwrap_err(), outcome);
    }
    for number in 2..=DATA_TRACKS_MAX {
        publish(&mut scene, anna, wanted(u32::try_from(number).unwrap(), &number.to_string())).unwrap();
    }
    assert_eq!(publish(&mut scene, anna, wanted(65_535, "one more")).unwrap_err(), Outcome::LimitExceeded);
}

#[test]
fn tokens_and_rooms_forbid_data_tracks() {
    let mut scene = Scene::new(false);
    let mute = scene.join(1, Grants { can_publish_data: false, ..guest("mute") });
    let ghost = scene.join(2, Grants { hidden: true, ..guest("ghost") });
    let encoder = scene.join_as(3, Layout::Whip, guest("encoder"));
    for session in [mute, ghost] {
        assert_eq!(publish(&mut scene, session, wanted(1, "a")).unwrap_err(), Outcome::NotAllowed);
    }
    assert_eq!(scene.say(encoder, Signal::PublishData(wanted(1, "a"))), [], "it has no signalling");
    let mut sealed = Scene::new(true);
    let anna = sealed.join(1, guest("anna"));
    assert_eq!(publish(&mut sealed, anna, wanted(1, "a")).unwrap_err(), Outcome::EncryptionRequired);
    assert!(publish(&mut sealed, anna, PublishData { encryption: Encryption::Gcm, ..wanted(1, "a") }).is_ok());
}

#[test]
fn rights_and_rules_count_for_what_stands() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let (track, _) = publish(&mut scene, anna, wanted(1, "a")).unwrap();
    subscribe(&mut scene, bert, &track.sid, true);
    let stopped = MediaCommand::UnsubscribeData { session: bert, track: track.sid.clone() };
    let rule = |scene: &mut Scene, rules| scene.say(anna, Signal::SubscriptionPermission(rules));
    assert_eq!(media(&rule(&mut scene, SubscriptionRules::default())), [&stopped]);
    let named =
        SubscriptionRule { participant: None, identity: guest("bert").identity, all_tracks: false, tracks: vec![track.sid.clone()] };
    let effects = rule(&mut scene, SubscriptionRules { all: false, rules: vec![named] });
    assert_eq!(handles(&effects, bert), [(2, track.sid.clone())], "what was asked for is not forgotten");

    let all = Permission { subscribe: true, publish: true, publish_data: true, sources: Vec::new(), hidden: false, update_metadata: true };
    let permit = |scene: &mut Scene, session, wanted: Permission| {
        scene.effects(|room, now, _, out| room.update_participant(session, Profile::default(), Some(&wanted), now, out).unwrap())
    };
    assert_eq!(media(&permit(&mut scene, bert, Permission { subscribe: false, ..all.clone() }))[1], &stopped);
    assert_eq!(handles(&permit(&mut scene, bert, all.clone()), bert), [(3, track.sid.clone())]);
    let effects = permit(&mut scene, anna, Permission { publish_data: false, ..all });
    assert!(media(&effects).contains(&&MediaCommand::RemoveDataTrack { session: anna, track: track.sid.clone() }));
    assert!(told(&effects, anna).any(|notice| *notice == Notice::DataTrackUnpublished(track.clone())));
}

#[test]
fn numbers_are_never_0_or_given_twice() {
    let mut scene = Scene::new(false);
    let (anna, bert) = (scene.join(1, guest("anna")), scene.join(2, guest("bert")));
    let tracks = [1, 2, 3].map(|number| publish(&mut scene, anna, wanted(number, &number.to_string())).unwrap().0.sid);
    subscribe(&mut scene, bert, &tracks[0], true);
    scene.room.participants.get_mut(&bert).unwrap().last_handle = u16::MAX - 1;
    let given = [1, 2].map(|at| handles(&subscribe(&mut scene, bert, &tracks[at], true), bert)[0].0);
    assert_eq!(given, [u16::MAX, 2], "1 is taken");
}
