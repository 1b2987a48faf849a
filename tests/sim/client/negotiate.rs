//! Negotiation as a browser does it.

use std::time::Instant;

use konsil::room::command::{Layout, Leg, Signal};
use konsil::room::notice::Description;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, Reliability};
use str0m::media::{Direction, MediaKind, Simulcast, SimulcastLayer};

use crate::source::{RIDS, Source, Stage};

use super::pc::Offer;
use super::{Client, Say, State};

impl Client {
    /// Offers, now or once the offer that is out was answered.
    pub fn negotiate(&mut self, now: Instant) {
        self.again = true;
        self.negotiate_if_free(now);
    }

    pub(super) fn negotiate_if_free(&mut self, now: Instant) {
        let free = self.publisher.as_ref().is_some_and(|pc| pc.offer.is_none());
        if !self.again || !free || self.state != State::In || self.sid.is_none() {
            return;
        }
        self.again = false;
        if let Some((sdp, id)) = self.make_offer() {
            self.say.push(Say::Signal(Signal::Offer { sdp, id }));
            if self.dice.u8(..4) == 0 {
                let candidate = self
                    .publisher
                    .as_ref()
                    .map(|pc| format!("candidate:1 1 udp 2130706175 {} {} typ host", pc.local.ip(), pc.local.port()));
                self.say.extend(candidate.map(|candidate| Say::Signal(Signal::Trickle { leg: Leg::Publisher, candidate })));
            }
        }
        self.settle_pcs(now);
    }

    /// An offer with everything that waits for one.
    pub(super) fn make_offer(&mut self) -> Option<(String, u32)> {
        let first = self.publisher.as_ref()?.offers == 0;
        let wait = self.plan.confirm_first && self.plan.signals();
        let (restart, missing) = (std::mem::take(&mut self.restart), std::mem::take(&mut self.missing));
        let early = if first && self.plan.layout == Layout::Single { [self.dice.u32(..2), self.dice.u32(..2)] } else { [0; 2] };
        let pc = self.publisher.as_mut()?;
        let receiving = receiving_sections(pc);
        let mut added = Vec::new();
        let mut api = pc.rtc.sdp_api();
        if first && self.plan.signals() {
            let lossy = Reliability::MaxRetransmits { retransmits: 0 };
            api.add_channel_with_config(ChannelConfig {
                label: "_lossy".into(),
                ordered: false,
                reliability: lossy,
                ..ChannelConfig::default()
            });
            api.add_channel("_reliable".into());
        }
        if restart {
            let _ = api.ice_restart(true);
        }
        for source in &mut self.sources {
            match source.stage {
                Stage::New if !wait || source.sid.is_some() => add_source(&mut api, source),
                Stage::Ending => source.mid.into_iter().for_each(|mid| api.set_direction(mid, Direction::Inactive)),
                _ => {}
            }
        }
        for (at, kind) in [MediaKind::Audio, MediaKind::Video].into_iter().enumerate() {
            for _ in 0..missing[at] + early[at] {
                added.push(api.add_media(kind, Direction::RecvOnly, None, None, None));
            }
        }
        for (mid, direction) in &receiving {
            // A browser's transceiver stays willing when the server has nothing for it.
            if *direction == Direction::Inactive {
                api.set_direction(*mid, Direction::RecvOnly);
            }
        }
        if !api.has_changes() {
            // str0m makes no offer without a change, a browser does.
            let (mid, _) = receiving.first()?;
            api.set_direction(*mid, Direction::Inactive);
            api.set_direction(*mid, Direction::RecvOnly);
        }
        let (offer, pending) = api.apply()?;
        pc.offers += 1;
        pc.receives.extend(added);
        let (text, id) = (offer.to_sdp_string(), pc.offers);
        pc.offer = Some(Offer { pending, text: text.clone(), id });
        Some((text, id))
    }

    /// Sends the offer that was not answered once more. Returns whether there was one.
    pub(super) fn repeat_offer(&mut self) -> bool {
        let Some(pc) = self.publisher.as_mut() else { return false };
        let Some(offer) = pc.offer.as_mut() else { return false };
        pc.offers += 1;
        offer.id = pc.offers;
        self.say.push(Say::Signal(Signal::Offer { sdp: offer.text.clone(), id: offer.id }));
        self.again = true;
        true
    }

    pub(super) fn on_answer(&mut self, answer: &Description, now: Instant) {
        let Some(pc) = self.publisher.as_mut() else { return };
        // An answer to an offer of before a resume is not waited for any more.
        let Some(offer) = pc.offer.take_if(|offer| offer.id == answer.id) else { return };
        pc.mids = answer.mids.iter().cloned().collect();
        pc.told_at = now;
        let taken = SdpAnswer::from_sdp_string(&answer.sdp)
            .map_err(|error| error.to_string())
            .and_then(|answer| pc.rtc.sdp_api().accept_answer(offer.pending, answer).map_err(|error| error.to_string()));
        if let Err(error) = taken {
            self.complaint = Some(format!("cannot take the answer: {error}"));
        }
        pc.began.get_or_insert(now);
        self.changed = now;
        self.sources_live(now);
        self.settle_pcs(now);
        self.negotiate_if_free(now);
    }

    pub(super) fn sources_live(&mut self, now: Instant) {
        for source in &mut self.sources {
            match source.stage {
                Stage::Offered => {
                    source.stage = Stage::Live;
                    source.live_since = Some(now);
                }
                // What was being taken out in this round is out, but not what came to its end since.
                Stage::Ending if self.publisher.as_ref().is_some_and(|pc| stopped(pc, source)) => source.stage = Stage::Ended,
                _ => {}
            }
        }
        let confirmed = |source: &Source| !self.plan.confirm_first || source.sid.is_some();
        self.again |= self.sources.iter().any(|source| source.stage == Stage::Ending || source.stage == Stage::New && confirmed(source));
    }

    pub(super) fn on_offer(&mut self, offer: &Description, now: Instant) {
        let Some(pc) = self.subscriber.as_mut() else { return };
        // str0m would answer `passive` where browsers answer `active`, as the server wants it.
        let taken = SdpOffer::from_sdp_string(&offer.sdp.replace("a=setup:actpass", "a=setup:passive"))
            .map_err(|error| error.to_string())
            .and_then(|offer| pc.rtc.sdp_api().accept_offer(offer).map_err(|error| error.to_string()));
        match taken {
            Ok(answer) => {
                pc.mids = offer.mids.iter().cloned().collect();
                pc.told_at = now;
                pc.began.get_or_insert(now);
                self.say.push(Say::Signal(Signal::Answer { sdp: answer.to_sdp_string(), id: offer.id }));
            }
            Err(error) => self.complaint = Some(format!("cannot take the server's offer: {error}")),
        }
        self.changed = now;
        self.settle_pcs(now);
    }

    /// Drains what the changes caused.
    pub(super) fn settle_pcs(&mut self, now: Instant) {
        self.pcs().for_each(|(_, pc)| pc.tick(now));
    }
}

fn stopped(pc: &super::Pc, source: &Source) -> bool {
    source.mid.and_then(|mid| pc.rtc.media(mid)).is_some_and(|media| media.direction() == Direction::Inactive)
}

fn add_source(api: &mut str0m::change::SdpApi<'_>, source: &mut Source) {
    let simulcast = source.simulcast.then(|| {
        let mut simulcast = Simulcast::new();
        for rid in RIDS {
            simulcast.add_send_layer(SimulcastLayer::new(rid));
        }
        simulcast
    });
    let kind = match source.kind {
        konsil::model::media::MediaKind::Audio => MediaKind::Audio,
        konsil::model::media::MediaKind::Video => MediaKind::Video,
    };
    let mid = api.add_media(kind, Direction::SendOnly, Some("stream".into()), Some(source.cid.clone()), simulcast);
    source.mid = Some(mid);
    source.stage = Stage::Offered;
}

/// The sections that are for receiving, with their directions.
fn receiving_sections(pc: &super::Pc) -> Vec<(str0m::media::Mid, Direction)> {
    pc.receives.iter().filter_map(|mid| Some((*mid, pc.rtc.media(*mid)?.direction()))).collect()
}
