//! Carries from the clients to the control core, or back.

use std::time::Duration;

use konsil::node::control::{Caller, ControlInput};
use konsil::node::request::{ConnId, Request};
use konsil::room::command::{Layout, Signal};

use crate::client::{ClientId, Say, State};
use crate::mail::{Lane, Mail, Word};
use crate::time::since;

use super::{Asker, Conn, World};

/// How long a silent connection lasts at most: longer than consent of the media (RFC 7675), so that either is seen to end a
/// session.
const PINGED: Duration = Duration::from_secs(45);

impl World {
    pub(super) fn reach_client(&mut self, id: ClientId, word: Word) {
        let now = self.now;
        let client = &mut self.clients[id.0];
        if !client.alive() {
            return;
        }
        match word {
            Word::Connected(conn, result) if client.conn == Some(conn) => client.on_connected(&result, now),
            Word::Notice(conn, notice) if client.conn == Some(conn) => client.on_notice(*notice, now),
            Word::HungUp(conn) if client.conn == Some(conn) => client.drop_connection(now),
            Word::Reply(result) => client.on_reply(result, now),
            // By a connection that the client has given up.
            _ => {}
        }
    }

    pub(super) fn say_to(&mut self, conn: ConnId, client: ClientId, word: Word) {
        let delay = self.conns.get(&conn).map_or(Duration::ZERO, |conn| conn.delay);
        let jitter = self.millis(0..5);
        self.mail.send(Lane::ControlToClient(conn), self.now + delay + jitter, Mail::Client(client, word));
    }

    pub(super) fn let_clients_work(&mut self) {
        let now = self.now;
        for at in 0..self.clients.len() {
            let id = ClientId(at);
            if self.clients[at].alive() && self.clients[at].next_timeout().is_some_and(|due| due <= now) {
                self.clients[at].work(now);
                let (receipts, messages) = self.clients[at].media_work(now);
                for receipt in receipts {
                    self.judge_receipt(id, receipt);
                }
                for message in messages {
                    self.judge_message(id, &message);
                }
            }
            if let Some(words) = self.clients[at].complaint.take() {
                self.check("descriptions_taken", Err(format!("{id:?} {:?}: {words}", self.clients[at].plan.layout)));
            }
            if let (Some(began), Some(healed)) = (self.clients[at].gave_up.take(), self.calm_since) {
                let words = || format!("{id:?} {:?} waited for a way since {:?}", self.clients[at].plan.layout, since(began));
                let verdict = if began < healed { Ok(()) } else { Err(words()) };
                self.check("connects_in_time", verdict);
            }
            for say in std::mem::take(&mut self.clients[at].say) {
                self.said(id, say);
            }
        }
    }

    fn said(&mut self, id: ClientId, say: Say) {
        match say {
            Say::Connect(connect) => {
                let (conn, caller) = (ConnId(self.fresh_id()), Caller(self.fresh_id()));
                let delay = if self.calm_since.is_some() { Duration::from_millis(10) } else { self.millis(5..120) };
                self.conns.insert(conn, Conn { client: id, delay, cut: false });
                self.clients[id.0].conn = Some(conn);
                self.askers.insert(caller, Asker::Connect(id, conn));
                self.send_up(id, conn, ControlInput::Connect(caller, conn, connect));
            }
            Say::Signal(signal) => {
                if let Some(conn) = self.clients[id.0].conn {
                    self.send_up(id, conn, ControlInput::Signal(conn, signal));
                }
            }
            Say::Request(request) => {
                let caller = Caller(self.fresh_id());
                self.askers.insert(caller, Asker::Media(id));
                let at = self.now + self.millis(5..120);
                self.mail.send(Lane::Loose, at, Mail::Control(Some(id), ControlInput::Request(caller, request)));
            }
            Say::HangUp(conn) => self.cut(conn),
            Say::Leave => self.leave(id),
            Say::StartOver => self.start_over(id),
        }
    }

    fn send_up(&mut self, id: ClientId, conn: ConnId, input: ControlInput) {
        let delay = self.conns.get(&conn).map_or(Duration::ZERO, |conn| conn.delay);
        let jitter = self.millis(0..5);
        self.mail.send(Lane::ClientToControl(conn), self.now + delay + jitter, Mail::Control(Some(id), input));
    }

    /// A connection breaks: what is under way is lost, and the server learns it sooner or later.
    pub fn cut(&mut self, conn: ConnId) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.cut = true;
        }
        let late = if self.dice.bool() { self.millis(0..50) } else { self.millis(0..4_000) };
        self.mail.send(Lane::ClientToControl(conn), self.now + late, Mail::Control(None, ControlInput::Closed(conn)));
    }

    /// A connection breaks without a sign: the server learns it when its pings are not answered.
    pub fn fall_silent(&mut self, conn: ConnId) {
        if let Some(conn) = self.conns.get_mut(&conn) {
            conn.cut = true;
        }
        self.mail.send(Lane::ClientToControl(conn), self.now + PINGED, Mail::Control(None, ControlInput::Closed(conn)));
    }

    fn leave(&mut self, id: ClientId) {
        if let Some(conn) = self.clients[id.0].conn.take() {
            self.send_up(id, conn, ControlInput::Signal(conn, Signal::Leave));
            self.send_up(id, conn, ControlInput::Closed(conn));
        }
        let client = &self.clients[id.0];
        if let (Some(resource), Some(room)) = (client.resource.clone(), client.plan.grants.room.clone()) {
            let (grants, of) = (client.plan.grants.clone(), client.plan.only.clone());
            self.ask(Request::EndMedia { grants, room, of, resource });
        }
    }

    /// Somebody asks for something by HTTP.
    pub fn ask(&mut self, request: Request) {
        let caller = Caller(self.fresh_id());
        self.askers.insert(caller, Asker::Admin);
        let at = self.now + self.millis(5..60);
        self.mail.send(Lane::Loose, at, Mail::Control(None, ControlInput::Request(caller, Box::new(request))));
    }

    fn start_over(&mut self, id: ClientId) {
        if let Some(conn) = self.clients[id.0].conn.take() {
            self.cut(conn);
        }
        if self.clients[id.0].state == State::Over {
            return;
        }
        self.clients[id.0].end();
        self.restarts += 1;
        let at = self.now + self.millis(200..1_500);
        let plan = self.clients[id.0].plan.clone();
        // Whoever wants somebody's tracks by WHEP looks for them anew.
        if plan.layout != Layout::Whep {
            self.returning.push((at, plan));
        }
    }
}
