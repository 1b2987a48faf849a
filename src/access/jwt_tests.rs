//! Tokens, good or bad, against the verifier.

use serde_json::{Value, json};

use super::*;
use crate::access::key::FIRST_TENANT;

const NOW: u64 = 1_750_000_000;

fn key() -> ApiKey {
    ApiKey::new("APIfirst".to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap()
}

fn ring() -> Keyring {
    let mut ring = Keyring::new();
    ring.insert(TenantId::new(FIRST_TENANT).unwrap(), key()).unwrap();
    ring
}

fn token(header: &Value, payload: &Value) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(payload.to_string()));
    let signing = EncodingKey::from_secret(key().secret.expose().as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signing, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// A token whose payload is the usual one with `changes` on top; null takes a claim away.
fn changed(changes: &Value) -> String {
    let mut payload = json!({"iss": "APIfirst", "sub": "dr", "exp": NOW + 60, "video": {"roomJoin": true, "room": "r"}});
    for (name, value) in changes.as_object().unwrap() {
        payload[name] = value.clone();
    }
    token(&json!({"alg": "HS256", "typ": "JWT"}), &payload)
}

fn verified(changes: &Value) -> Result<Grants, TokenError> {
    ring().verify(&changed(changes), NOW)
}

#[test]
fn minted_tokens_carry_the_role() {
    let room = RoomName::new("Raum 1").unwrap();
    let claims = Claims::join(&room, Identity::new("dr").unwrap(), "Dr. E".to_owned(), Role::Observer, NOW + 60);
    let grants = ring().verify(&mint(&key(), &claims), NOW).unwrap();
    assert_eq!(grants.tenant.as_str(), "default");
    assert_eq!((grants.room, grants.identity), (Some(room), Some(Identity::new("dr").unwrap())));
    assert_eq!((grants.name.as_str(), grants.expires_at), ("Dr. E", NOW + 60));
    assert!(grants.room_join && grants.can_subscribe);
    assert!(!grants.can_publish && !grants.can_publish_data && !grants.room_admin && !grants.hidden);
    assert_eq!(grants.attributes.get(ATTRIBUTE).map(String::as_str), Some("observer"));
}

#[test]
fn role_is_read_back() {
    for role in Role::ALL {
        let claims = Claims::join(&RoomName::new("r").unwrap(), Identity::new("i").unwrap(), String::new(), role, NOW + 60);
        assert_eq!(Role::of(&ring().verify(&mint(&key(), &claims), NOW).unwrap()), Some(role));
    }
}

#[test]
fn admin_tokens_administer_but_do_not_join() {
    let grants = ring().verify(&mint(&key(), &Claims::admin(NOW + 60)), NOW).unwrap();
    assert!(grants.room_admin && grants.room_create && grants.room_list && !grants.room_join);
    assert_eq!((grants.identity, grants.room), (None, None));
}

#[test]
fn absent_grants_mean_what_livekit_means() {
    let grants = verified(&json!({})).unwrap();
    assert!(grants.can_publish && grants.can_subscribe && grants.can_publish_data && grants.can_publish_sources.is_empty());
    assert!(!grants.room_admin && !grants.room_create && !grants.room_list && !grants.can_update_own_metadata && !grants.hidden);
    let grants = verified(&json!({"video": {"roomJoin": true, "room": "r", "canPublish": false}})).unwrap();
    assert!(!grants.can_publish_data);
    let grants = verified(&json!({"video": null})).unwrap();
    assert!(!grants.room_join);
}

#[test]
fn every_grant_is_read() {
    let grants = verified(&json!({
        "name": "N", "metadata": "M", "attributes": {"a": "b"},
        "video": {"room": "r", "roomJoin": true, "roomAdmin": true, "roomCreate": true, "roomList": true,
            "canPublish": false, "canSubscribe": false, "canPublishData": true, "canUpdateOwnMetadata": true, "hidden": true,
            "canPublishSources": ["camera", "microphone", "screen_share", "screen_share_audio", "camera"], "later": {"x": 1}},
        "sip": {"admin": true}
    }))
    .unwrap();
    assert!(grants.room_admin && grants.room_create && grants.room_list && grants.can_publish_data);
    assert!(!grants.can_publish && !grants.can_subscribe && grants.can_update_own_metadata && grants.hidden);
    let all = [TrackSource::Camera, TrackSource::Microphone, TrackSource::ScreenShare, TrackSource::ScreenShareAudio];
    assert_eq!(grants.can_publish_sources, all);
    assert_eq!((grants.name.as_str(), grants.metadata.as_str(), grants.attributes["a"].as_str()), ("N", "M", "b"));
}

#[test]
fn other_algorithms_are_refused_before_the_signature() {
    for alg in ["none", "None", "", "hs256", "HS384", "HS512", "RS256", "ES256", "EdDSA"] {
        let payload = json!({"iss": "APIfirst", "sub": "dr", "exp": NOW + 60});
        let good = token(&json!({"alg": alg}), &payload);
        assert_eq!(ring().verify(&good, NOW), Err(TokenError::Algorithm), "{alg}");
        let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
        assert_eq!(ring().verify(&unsigned, NOW), Err(TokenError::Algorithm), "{alg}");
    }
}

#[test]
fn extensions_that_must_be_understood_are_refused() {
    let payload = json!({"iss": "APIfirst", "sub": "dr", "exp": NOW + 60});
    assert_eq!(ring().verify(&token(&json!({"alg": "HS256", "crit": ["b64"], "b64": false}), &payload), NOW), Err(TokenError::Malformed));
}

#[test]
fn wrong_signatures_are_refused() {
    let good = changed(&json!({}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    assert_eq!(ring().verify(&format!("{message}."), NOW), Err(TokenError::Signature));
    assert_eq!(ring().verify(&format!("{message}.{}", &signature[..20]), NOW), Err(TokenError::Signature));
    let foreign = ApiKey::new("APIfirst".to_owned(), "x".repeat(40)).unwrap();
    assert_eq!(ring().verify(&mint(&foreign, &Claims::admin(NOW + 60)), NOW), Err(TokenError::Signature));
    let other = changed(&json!({"sub": "other"}));
    let moved = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(ring().verify(&moved, NOW), Err(TokenError::Signature));
}

#[test]
fn unknown_keys_are_refused() {
    for iss in [json!("APIother"), json!(""), json!(null)] {
        assert_eq!(verified(&json!({"iss": iss})), Err(TokenError::UnknownKey));
    }
}

#[test]
fn each_key_names_its_own_tenant() {
    let mut ring = ring();
    let second = ApiKey::new("APIsecond".to_owned(), "y".repeat(40)).unwrap();
    ring.insert(TenantId::new("clinic").unwrap(), second.clone()).unwrap();
    assert_eq!(ring.verify(&mint(&second, &Claims::admin(NOW + 60)), NOW).unwrap().tenant.as_str(), "clinic");
    assert_eq!(ring.verify(&mint(&key(), &Claims::admin(NOW + 60)), NOW).unwrap().tenant.as_str(), "default");
}

#[test]
fn expiry_has_thirty_seconds_of_leeway() {
    assert!(verified(&json!({"exp": NOW - 29})).is_ok());
    assert_eq!(verified(&json!({"exp": NOW - 30})), Err(TokenError::Expired));
    assert_eq!(verified(&json!({"exp": 0})), Err(TokenError::Expired));
    assert!(verified(&json!({"exp": u64::MAX})).is_ok());
    assert_eq!(verified(&json!({"exp": 1_750_000_010.5})).unwrap().expires_at, NOW + 10);
}

#[test]
fn expiry_is_required() {
    assert_eq!(verified(&json!({"exp": null})), Err(TokenError::Claims("exp is missing")));
    assert!(matches!(verified(&json!({"exp": -1})), Err(TokenError::Claims(_))));
    assert!(matches!(verified(&json!({"exp": "soon"})), Err(TokenError::Claims(_))));
}

#[test]
fn not_before_has_thirty_seconds_of_leeway() {
    assert!(verified(&json!({"nbf": NOW + 30})).is_ok());
    assert_eq!(verified(&json!({"nbf": NOW + 31})), Err(TokenError::NotYet));
    assert!(matches!(verified(&json!({"nbf": -5})), Err(TokenError::Claims(_))));
}

#[test]
fn joining_needs_an_identity() {
    assert_eq!(verified(&json!({"sub": null})), Err(TokenError::Claims("sub is needed to join a room")));
    assert_eq!(verified(&json!({"sub": ""})), Err(TokenError::Claims("sub is needed to join a room")));
    assert!(matches!(verified(&json!({"sub": "a\u{7}"})), Err(TokenError::Claims(_))));
}

#[test]
fn sizes_are_bounded() {
    let long = "x".repeat(257);
    assert!(matches!(verified(&json!({"name": long})), Err(TokenError::Claims(_))));
    assert!(matches!(verified(&json!({"sub": long})), Err(TokenError::Claims(_))));
    assert!(matches!(verified(&json!({"video": {"room": long}})), Err(TokenError::Claims(_))));
    let attributes: BTreeMap<String, String> = (0..=ATTRIBUTES_MAX).map(|number| (number.to_string(), String::new())).collect();
    assert!(matches!(verified(&json!({"attributes": attributes})), Err(TokenError::Claims(_))));
    assert_eq!(verified(&json!({"metadata": "x".repeat(TOKEN_MAX)})), Err(TokenError::TooLong));
}

#[test]
fn unknown_sources_never_widen_the_grant() {
    let video = json!({"roomJoin": true, "room": "r", "canPublishSources": ["hologram"]});
    assert!(matches!(verified(&json!({"video": video})), Err(TokenError::Claims(_))));
}

#[test]
fn garbage_is_malformed() {
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#);
    let list = URL_SAFE_NO_PAD.encode("[1]");
    let twice = URL_SAFE_NO_PAD.encode(r#"{"iss":"APIfirst","iss":"APIother"}"#);
    for text in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "\u{1f600}.\u{1f600}.\u{1f600}",
        "e30.e30.",
        &format!("{header}.!.x"),
        &format!("{header}.{list}."),
        &format!("{header}.{twice}."),
        &format!("{header}=.{list}."),
    ] {
        assert_eq!(ring().verify(text, NOW), Err(TokenError::Malformed), "{text}");
    }
}

#[test]
fn claims_of_the_wrong_type_are_named_without_their_value() {
    for changes in [json!({"video": "all"}), json!({"attributes": {"a": 1}}), json!({"video": {"room": 5}}), json!({"name": ["x"]})] {
        assert_eq!(verified(&changes), Err(TokenError::Claims("a claim has the wrong type")));
    }
}
