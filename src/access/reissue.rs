//! Fresh tokens for those who have one.

use super::jwt::{Claims, TOKEN_MAX, VideoGrant, mint};
use super::key::{ApiKey, Keyring, Secret};
use super::role::ATTRIBUTE;
use crate::model::grants::Grants;
use crate::model::media::TrackSource;

impl Keyring {
    /// A token that says what `grants` say, signed by the key that signed the one they come from. `None` if the tenant has
    /// that key no more.
    ///
    /// Where it would have more than [`TOKEN_MAX`] bytes it lacks the metadata, then the attributes but the role.
    #[must_use]
    pub fn reissue(&self, grants: &Grants) -> Option<Secret> {
        let (_, secret) = self.find(&grants.issuer).filter(|(tenant, _)| *tenant == grants.tenant)?;
        let key = ApiKey { key: grants.issuer.clone(), secret: secret.clone() };
        let mut claims = claims(grants);
        let fits = |claims: &Claims| Some(mint(&key, claims)).filter(|token| token.len() <= TOKEN_MAX);
        let token = fits(&claims)
            .or_else(|| {
                claims.metadata.clear();
                fits(&claims)
            })
            .or_else(|| {
                claims.attributes.retain(|name, _| name == ATTRIBUTE);
                fits(&claims)
            });
        token.map(Secret::new)
    }
}

fn claims(grants: &Grants) -> Claims {
    let sources: Vec<String> = grants.can_publish_sources.iter().filter_map(|source| name_of(*source)).map(str::to_owned).collect();
    let video = VideoGrant {
        room: grants.room.as_ref().map(|room| room.as_str().to_owned()),
        room_join: Some(grants.room_join),
        room_admin: Some(grants.room_admin),
        room_create: Some(grants.room_create),
        room_list: Some(grants.room_list),
        // An empty list would allow every source.
        can_publish: Some(grants.can_publish && sources.is_empty() == grants.can_publish_sources.is_empty()),
        can_subscribe: Some(grants.can_subscribe),
        can_publish_data: Some(grants.can_publish_data),
        can_publish_sources: (!sources.is_empty()).then_some(sources),
        can_update_own_metadata: Some(grants.can_update_own_metadata),
        hidden: Some(grants.hidden),
    };
    Claims {
        identity: grants.identity.clone(),
        name: grants.name.clone(),
        video,
        metadata: grants.metadata.clone(),
        attributes: grants.attributes.clone(),
        not_before: None,
        expires_at: grants.expires_at,
    }
}

/// A source as tokens name it; those that no token can name are not granted one by one.
fn name_of(source: TrackSource) -> Option<&'static str> {
    match source {
        TrackSource::Unknown => None,
        TrackSource::Camera => Some("camera"),
        TrackSource::Microphone => Some("microphone"),
        TrackSource::ScreenShare => Some("screen_share"),
        TrackSource::ScreenShareAudio => Some("screen_share_audio"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::ids::{Identity, RoomName, TenantId};

    fn key(id: &str) -> ApiKey {
        ApiKey::new(id.to_owned(), "0123456789abcdef0123456789abcdef".to_owned()).unwrap()
    }

    fn ring(tenant: &str, keys: &[&str]) -> Keyring {
        let mut ring = Keyring::new();
        keys.iter().for_each(|id| ring.insert(TenantId::new(tenant).unwrap(), key(id)).unwrap());
        ring
    }

    fn grants() -> Grants {
        Grants {
            tenant: TenantId::new("clinic").unwrap(),
            issuer: "second".to_owned(),
            identity: Identity::new("dr").ok(),
            name: "Dr. E".to_owned(),
            room: RoomName::new("Raum 1").ok(),
            room_join: true,
            room_admin: true,
            room_create: false,
            room_list: true,
            can_publish: true,
            can_subscribe: false,
            can_publish_data: true,
            can_publish_sources: vec![TrackSource::Microphone, TrackSource::ScreenShareAudio],
            can_update_own_metadata: true,
            hidden: true,
            metadata: "about".to_owned(),
            attributes: BTreeMap::from([(ATTRIBUTE.to_owned(), "host".to_owned()), ("hand".to_owned(), "raised".to_owned())]),
            expires_at: 600,
        }
    }

    #[test]
    fn a_fresh_token_says_the_same() {
        let ring = ring("clinic", &["first", "second"]);
        for grants in [grants(), Grants { can_publish_sources: Vec::new(), can_publish: false, room_create: true, ..grants() }] {
            assert_eq!(ring.verify(ring.reissue(&grants).unwrap().expose(), 599).as_ref(), Ok(&grants));
        }
    }

    #[test]
    fn a_key_that_is_gone_signs_no_more() {
        assert!(ring("clinic", &["first"]).reissue(&grants()).is_none());
        assert!(ring("other", &["second"]).reissue(&grants()).is_none(), "it is somebody else's now");
    }

    #[test]
    fn what_no_token_can_carry_is_left_out() {
        let ring = ring("clinic", &["second"]);
        let large = || "x".repeat(TOKEN_MAX);
        let read_back = |grants: &Grants| ring.verify(ring.reissue(grants).unwrap().expose(), 1).unwrap();
        let known = read_back(&Grants { metadata: large(), ..grants() });
        assert_eq!((known.metadata.as_str(), &known.attributes), ("", &grants().attributes));
        let mut wordy = grants();
        wordy.attributes.insert("words".to_owned(), large());
        let known = read_back(&wordy);
        assert_eq!(known.attributes, BTreeMap::from([(ATTRIBUTE.to_owned(), "host".to_owned())]));
        assert!(known.hidden && !known.can_subscribe, "rights are never left out");
    }
}
