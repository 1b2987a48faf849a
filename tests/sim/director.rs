//! The scenario: who does what when, as the seed says.

use std::time::{Duration, Instant};

use fastrand::Rng;
use konsil::model::ids::{RoomName, Sid};
use konsil::model::media::{MediaKind, Quality, TrackSettings};
use konsil::node::request::{Request, RoomOrigin, RoomSpec};
use konsil::room::command::{Layout, Scenario, Signal, SubscriptionRule, SubscriptionRules};

use crate::client::{Client, ClientId, Plan, Say, State, admin, room_name};
use crate::world::World;

/// Most people of one run.
const PEOPLE: usize = 10;

/// Plays a scenario.
pub struct Director {
    plans: Vec<Plan>,
    dice: Rng,
    cuts: Vec<(Instant, ClientId)>,
}

impl Director {
    pub fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed ^ 0x5ce9_a410);
        let rooms = dice.usize(2..=3);
        let people = dice.usize(6..=PEOPLE);
        let plans = (0..people).map(|person| Plan::new(person, person % rooms, &mut dice)).collect();
        Self { plans, dice, cuts: Vec::new() }
    }

    /// Does the next thing. Returns when the one after it is due.
    pub fn act(&mut self, world: &mut World) -> Instant {
        self.end_cuts(world);
        let absent: Vec<usize> = (0..self.plans.len()).filter(|person| !world.is_in(*person)).collect();
        let alive = world.alive();
        let joins = !absent.is_empty() && (alive.len() < 5 || self.dice.u8(..100) < 30);
        if joins {
            let person = absent[self.dice.usize(..absent.len())];
            self.join(world, person);
        } else if !alive.is_empty() {
            let id = alive[self.dice.usize(..alive.len())];
            self.trouble(world, id);
        }
        let pause = Duration::from_millis(self.dice.u64(20..400));
        self.cuts.iter().map(|(until, _)| *until).chain([world.now + pause]).min().unwrap_or(world.now + pause)
    }

    /// Everybody wants everything again, in every other run.
    pub fn open_up(&mut self, world: &mut World) {
        if self.dice.bool() {
            return;
        }
        for client in world.clients.iter_mut().filter(|client| client.state == State::In && client.plan.signals()) {
            let muted = client.sources.iter_mut().filter(|source| source.muted);
            let muted: Vec<Sid> = muted.filter_map(|source| source.sid.clone().inspect(|_| source.muted = false)).collect();
            client.say.extend(muted.into_iter().map(|track| Say::Signal(Signal::Mute { track, muted: false })));
            let all = SubscriptionRules { all: true, rules: Vec::new() };
            client.say.push(Say::Signal(Signal::SubscriptionPermission(all)));
            let tracks = Self::tracks_seen(client);
            client.asked.extend(tracks.iter().map(|track| (track.clone(), true)));
            client.disabled.clear();
            client.say.push(Say::Signal(Signal::Subscription { tracks: tracks.clone(), subscribe: true }));
            client.say.push(Say::Signal(Signal::Settings { tracks, settings: TrackSettings::default() }));
        }
    }

    /// Ends all that goes on by itself.
    pub fn rest(&mut self, world: &mut World) {
        for (_, id) in std::mem::take(&mut self.cuts) {
            world.clients[id.0].pcs().for_each(|(_, pc)| {
                pc.up.restore();
                pc.down.restore();
            });
        }
    }

    fn end_cuts(&mut self, world: &mut World) {
        let now = world.now;
        for (_, id) in self.cuts.extract_if(.., |(until, _)| *until <= now) {
            world.clients[id.0].pcs().for_each(|(_, pc)| {
                pc.up.restore();
                pc.down.restore();
            });
        }
    }

    fn join(&mut self, world: &mut World, person: usize) {
        let mut plan = self.plans[person].clone();
        if plan.layout == Layout::Whep {
            // It asks for somebody who is there; for nobody at all it would only be refused.
            let others = world.clients.iter().filter(|client| client.state == State::In && client.plan.room == plan.room);
            let others: Vec<_> =
                others.filter(|client| client.live_tracks().next().is_some()).map(|client| client.plan.identity()).collect();
            if others.is_empty() {
                return;
            }
            plan.only = Some(others[self.dice.usize(..others.len())].clone());
        }
        let publishes = plan.signals() && self.dice.u8(..8) != 0;
        let id = world.start_client(plan);
        if publishes {
            let now = world.now;
            let simulcast = self.dice.bool();
            world.clients[id.0].publish(MediaKind::Audio, false, now);
            world.clients[id.0].publish(MediaKind::Video, simulcast, now);
        }
    }

    fn trouble(&mut self, world: &mut World, id: ClientId) {
        let now = world.now;
        match self.dice.u8(..100) {
            0..=10 => self.publish(world, id),
            11..=16 => drop(world.clients[id.0].unpublish(now)),
            17..=28 => drop(world.clients[id.0].mute()),
            29..=42 => self.subscribe(world, id),
            43..=53 => self.settle(world, id),
            54..=57 => self.rule(world, id),
            58..=73 => self.message(world, id),
            74..=79 => self.cut_off(world, id),
            80..=85 => world.clients[id.0].drop_connection(now),
            86..=87 => self.vanish(world, id),
            88..=89 => world.clients[id.0].leave(),
            90..=94 => self.wander(world, id),
            95..=96 => self.moderate(world, id),
            97..=98 => self.simulate(world, id),
            _ => self.return_at_once(world, id),
        }
    }

    fn publish(&mut self, world: &mut World, id: ClientId) {
        let now = world.now;
        let client = &mut world.clients[id.0];
        if client.plan.signals() && client.plan.grants.can_publish && client.sources.len() < 6 {
            let kind = if self.dice.bool() { MediaKind::Audio } else { MediaKind::Video };
            let simulcast = kind == MediaKind::Video && self.dice.bool();
            client.publish(kind, simulcast, now);
        }
    }

    fn tracks_seen(client: &Client) -> Vec<Sid> {
        client.others.values().flat_map(|view| &view.tracks).map(|track| track.sid.clone()).collect()
    }

    fn some_track(&mut self, client: &Client) -> Option<Sid> {
        let tracks = Self::tracks_seen(client);
        (client.state == State::In && !tracks.is_empty()).then(|| tracks[self.dice.usize(..tracks.len())].clone())
    }

    fn subscribe(&mut self, world: &mut World, id: ClientId) {
        let Some(track) = self.some_track(&world.clients[id.0]) else { return };
        let subscribe = self.dice.u8(..5) != 0;
        let client = &mut world.clients[id.0];
        client.asked.insert(track.clone(), subscribe);
        client.say.push(Say::Signal(Signal::Subscription { tracks: vec![track], subscribe }));
    }

    fn settle(&mut self, world: &mut World, id: ClientId) {
        let Some(track) = self.some_track(&world.clients[id.0]) else { return };
        let disabled = self.dice.u8(..3) == 0;
        let quality = [None, Some(Quality::Low), Some(Quality::Medium), Some(Quality::High)][self.dice.usize(..4)];
        let settings = TrackSettings { disabled, quality, ..TrackSettings::default() };
        let client = &mut world.clients[id.0];
        if disabled {
            client.disabled.insert(track.clone());
        } else {
            client.disabled.remove(&track);
        }
        client.say.push(Say::Signal(Signal::Settings { tracks: vec![track], settings }));
    }

    fn rule(&mut self, world: &mut World, id: ClientId) {
        let client = &world.clients[id.0];
        if client.state != State::In || !client.plan.signals() {
            return;
        }
        let own: Vec<Sid> = client.sources.iter().filter_map(|source| source.sid.clone()).collect();
        let mut rules = Vec::new();
        for view in client.others.values() {
            if self.dice.bool() {
                continue;
            }
            let by_sid = self.dice.bool();
            rules.push(SubscriptionRule {
                participant: by_sid.then(|| view.sid.clone()),
                identity: (!by_sid).then(|| view.identity.clone()),
                all_tracks: self.dice.bool(),
                tracks: own.iter().filter(|_| self.dice.bool()).cloned().collect(),
            });
        }
        let all = self.dice.u8(..3) != 0;
        world.clients[id.0].say.push(Say::Signal(Signal::SubscriptionPermission(SubscriptionRules { all, rules })));
    }

    fn message(&mut self, world: &mut World, id: ClientId) {
        let now = world.now;
        let others: Vec<_> = world.clients[id.0].others.values().map(|view| view.identity.clone()).collect();
        let to = (!others.is_empty() && self.dice.bool()).then(|| others[self.dice.usize(..others.len())].clone());
        let reliable = self.dice.bool();
        world.clients[id.0].send_message(reliable, to, now);
    }

    fn cut_off(&mut self, world: &mut World, id: ClientId) {
        let until = world.now + Duration::from_millis(self.dice.u64(200..6_000));
        world.clients[id.0].pcs().for_each(|(_, pc)| {
            pc.up.cut();
            pc.down.cut();
        });
        self.cuts.push((until, id));
    }

    fn vanish(&mut self, world: &mut World, id: ClientId) {
        let conn = world.clients[id.0].conn;
        world.clients[id.0].vanish();
        // The server may learn it from the connection's end, or from the silence: of the media, else of the connection.
        match conn {
            Some(conn) if self.dice.bool() => world.cut(conn),
            Some(conn) => world.fall_silent(conn),
            None => {}
        }
    }

    fn wander(&mut self, world: &mut World, id: ClientId) {
        let now = world.now;
        world.move_client(id);
        if self.dice.bool() {
            world.clients[id.0].drop_connection(now);
        }
    }

    fn moderate(&mut self, world: &mut World, id: ClientId) {
        let plan = &world.clients[id.0].plan;
        let (grants, room, identity) = (admin(Some(plan.room)), room_name(plan.room), plan.identity());
        let request = match self.dice.u8(..12) {
            0 | 1 => Request::RemoveParticipant { grants, room, identity },
            2 => Request::Participants { grants, room },
            3 => Request::DeleteRoom { grants, room },
            4..=6 => Request::CreateRoom { grants, spec: room_spec(room) },
            _ => Request::Mute { grants, room, identity, track: None, muted: true },
        };
        world.ask(request);
    }

    fn simulate(&mut self, world: &mut World, id: ClientId) {
        let scenarios = [Scenario::SignalReconnect, Scenario::FullReconnect, Scenario::Resume, Scenario::ServerLeave];
        let scenario = scenarios[self.dice.usize(..scenarios.len())];
        if world.clients[id.0].plan.signals() && world.clients[id.0].state == State::In {
            world.clients[id.0].say.push(Say::Signal(Signal::Simulate(scenario)));
        }
    }

    /// The application is closed and opened again, with the same identity.
    fn return_at_once(&mut self, world: &mut World, id: ClientId) {
        let person = world.clients[id.0].plan.person;
        self.vanish(world, id);
        let at = world.now + Duration::from_millis(self.dice.u64(50..800));
        let plan = self.plans[person].clone();
        if plan.layout != Layout::Whep {
            world.returning.push((at, plan));
        }
    }
}

/// A room that is written down, with the rules that rooms made on the fly have here.
fn room_spec(name: RoomName) -> RoomSpec {
    RoomSpec {
        name: Some(name),
        mode: None,
        hide_addresses: None,
        require_encryption: Some(false),
        max_participants: None,
        empty_timeout_s: None,
        door: konsil::room::DoorRules::default(),
        metadata: String::new(),
        origin: RoomOrigin::LiveKit,
    }
}
