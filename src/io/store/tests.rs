//! The store on a real disk, by a clock that is passed in.

use std::fs;

use super::samples::{self, NOW_S, entry, invitation, key, revocation, room, room_id, subject, tenant, tenant_record, visit};
use super::*;
use crate::io::files::TestFolder;
use crate::model::audit::AuditEvent;

const DAY: u64 = 86_400;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A folder with a state folder in it, beside which the key lies.
struct Place(TestFolder);

impl Place {
    fn new() -> Self {
        let place = Self(TestFolder::new());
        fs::create_dir(place.dir()).unwrap();
        place
    }

    fn dir(&self) -> PathBuf {
        self.0.0.join("state")
    }

    fn key(&self) -> KeyPlace {
        KeyPlace::find(&self.dir(), None, None).unwrap()
    }

    fn open_at(&self, now: u64) -> (Store, Stored) {
        Store::open(&self.dir(), &self.key(), at(now)).unwrap()
    }

    fn open(&self) -> (Store, Stored) {
        self.open_at(NOW_S)
    }

    fn bytes(&self) -> Vec<u8> {
        let files = fs::read_dir(self.dir()).unwrap().map(|file| file.unwrap().path());
        files
            .filter(|file| file.file_name().unwrap().to_str().unwrap().starts_with(NAME))
            .flat_map(|file| fs::read(file).unwrap())
            .collect()
    }
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

fn write(store: &mut Store, now: u64, writes: Vec<Write>) {
    assert_eq!(store.apply(&[writes], at(now)), [Written::Durably]);
}

fn count(store: &Store, table: &str) -> i64 {
    store.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

fn intact(store: &mut Store) -> u64 {
    match store.verify().unwrap() {
        Verdict::Intact { entries, .. } => entries,
        broken @ Verdict::Broken { .. } => panic!("{broken:?}"),
    }
}

#[test]
fn what_is_written_outlives_the_store_and_nothing_of_it_is_readable() {
    let place = Place::new();
    let (mut store, empty) = place.open();
    assert_eq!(empty, Stored::default());
    write(&mut store, NOW_S, samples::all());
    let bytes = place.bytes();
    for canary in [samples::CANARY.as_bytes(), b"guest", b"join-granted", b"PA_", b"RM_", &[7; 32], &[8; 32]] {
        assert!(!contains(&bytes, canary), "{}", String::from_utf8_lossy(canary));
    }
    drop(store);
    let (_, stored) = place.open();
    assert_eq!(stored.rooms, [room("r")]);
    assert_eq!(stored.tenants, [tenant_record(30)]);
    assert_eq!(stored.keys, [key("k")]);
    assert_eq!(stored.invitations, [invitation("i")]);
    assert_eq!(stored.revocations, [revocation(NOW_S + 60)]);
    assert_eq!(stored.subjects.len(), 1);
}

#[test]
fn rooms_take_invitations_and_revocations_with_them() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, samples::all());
    write(&mut store, NOW_S, vec![Write::DeleteRoom(room_id("r"))]);
    let stored = store.stored().unwrap();
    assert!(stored.rooms.is_empty() && stored.invitations.is_empty() && stored.revocations.is_empty());
    write(&mut store, NOW_S, vec![Write::DeleteTenant(tenant())]);
    assert_eq!((store.stored().unwrap(), count(&store, "records")), (Stored::default(), 0));
    assert_eq!(intact(&mut store), 1);
}

#[test]
fn a_batch_is_done_whole_or_not_at_all_and_does_not_harm_its_neighbours() {
    let place = Place::new();
    let (mut store, _) = place.open();
    store
        .connection
        .execute_batch("CREATE TRIGGER no BEFORE INSERT ON audit WHEN new.number = 2 BEGIN SELECT RAISE(ABORT, 'no'); END")
        .unwrap();
    let batches = [
        vec![Write::Audit(entry(AuditEvent::RoomMade)), Write::PutRoom(room("a"))],
        vec![Write::PutRoom(room("b")), Write::PutTenant(tenant_record(7)), Write::Audit(entry(AuditEvent::RoomMade))],
        vec![Write::PutRoom(room("c"))],
    ];
    assert_eq!(store.apply(&batches, at(NOW_S)), [Written::Durably, Written::Failed, Written::Durably]);
    assert_eq!(store.stored().unwrap().rooms, [room("a"), room("c")]);
    assert_eq!((intact(&mut store), store.vault.retention.len()), (1, 0));
}

#[test]
fn records_go_when_their_time_is_over_with_the_keys_of_their_day() {
    let place = Place::new();
    let (mut store, _) = place.open();
    let mut unconfirmed = invitation("i");
    unconfirmed.device = None;
    write(
        &mut store,
        NOW_S,
        vec![
            Write::PutTenant(tenant_record(2)),
            Write::PutInvitation(unconfirmed),
            Write::PutRevocation(revocation(NOW_S + 60)),
            Write::PutVisit(visit("PA_1", &[])),
            Write::Audit(entry(AuditEvent::JoinGranted)),
        ],
    );
    let left = |store: &mut Store, now: u64| {
        store.purge(at(now)).unwrap();
        (count(store, "records"), intact(store))
    };
    assert_eq!(left(&mut store, NOW_S + 59), (4, 1));
    assert_eq!(left(&mut store, NOW_S + 60), (3, 2), "the revocation, with a receipt");
    assert_eq!(left(&mut store, NOW_S + 3599), (3, 2));
    assert_eq!(left(&mut store, NOW_S + 3600), (2, 2), "one receipt a day");
    assert_eq!(left(&mut store, NOW_S + 2 * DAY - 1), (2, 2));
    assert_eq!(left(&mut store, NOW_S + 2 * DAY), (2, 2), "the first entry, with a receipt");
    assert_eq!(left(&mut store, NOW_S + 600 + 2 * DAY), (1, 1), "the visit, the receipt of the first day");
    assert_eq!(count(&store, "checkpoints"), 1);
    assert_eq!(fs::metadata(place.dir().join("konsil.db-wal")).unwrap().len(), 0);
    let timed: i64 = store
        .connection
        .query_row("SELECT count(*) FROM keys WHERE class = 1 AND day = ?1", [write::day(NOW_S)], |row| row.get(0))
        .unwrap();
    assert_eq!(timed, 0, "the key of the first day is gone");
}

#[test]
fn retention_that_changes_counts_for_what_is_there() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, vec![Write::PutVisit(visit("PA_1", &[])), Write::Audit(entry(AuditEvent::JoinGranted))]);
    write(&mut store, NOW_S, vec![Write::PutTenant(tenant_record(1))]);
    assert_eq!(intact(&mut store), 1);
    assert_eq!(store.purge(at(NOW_S + DAY - 1)).unwrap(), Purged::default());
    let purged = store.purge(at(NOW_S + DAY + 600)).unwrap();
    assert_eq!((purged.records, purged.entries, purged.more), (1, 1, false));
    drop(store);
    let (mut store, stored) = place.open_at(NOW_S + DAY + 600);
    assert_eq!(stored.tenants[0].retention_days, 1);
    write(&mut store, NOW_S, vec![Write::Audit(entry(AuditEvent::JoinGranted))]);
    assert_eq!(store.purge(at(NOW_S + DAY)).unwrap().entries, 1, "also after a restart");
}

#[test]
fn a_clock_that_jumps_back_deletes_nothing_early_and_breaks_nothing() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, vec![Write::PutTenant(tenant_record(1)), Write::Audit(entry(AuditEvent::JoinGranted))]);
    let back = NOW_S - 30 * DAY;
    let mut early = entry(AuditEvent::JoinRefused);
    early.at_ms = back * 1000;
    write(&mut store, back, vec![Write::Audit(early), Write::PutVisit(visit("PA_1", &[]))]);
    assert!(store.purge(at(back)).unwrap().is_empty() && store.purge(at(0)).unwrap().is_empty());
    assert_eq!(intact(&mut store), 2);
    drop(store);
    let (mut store, _) = place.open_at(back);
    assert_eq!((intact(&mut store), count(&store, "records")), (2, 2));
    store.purge(at(NOW_S + DAY + 600)).unwrap();
    assert_eq!((intact(&mut store), count(&store, "records")), (1, 1));
}

#[test]
fn persons_are_erased_everywhere_and_the_chain_still_verifies() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, samples::all());
    write(&mut store, NOW_S, vec![Write::PutVisit(visit("PA_alone", &["person"]))]);
    write(&mut store, NOW_S, vec![Write::EraseSubject(tenant(), subject("person"))]);
    let stored = store.stored().unwrap();
    assert!(stored.subjects.is_empty() && stored.invitations.is_empty());
    let mut visits = Vec::new();
    write::each(&store.connection, &mut store.vault, rows::Kind::Visit, None, |body| {
        visits.push(serde_json::from_slice::<VisitBody>(body).unwrap().subjects);
        Ok(())
    })
    .unwrap();
    assert_eq!(visits, [vec![samples::text("other")]], "who came with others is left out, who came alone goes");
    assert_eq!((intact(&mut store), count(&store, "refs")), (1, 1));
    let gone: i64 = store.connection.query_row("SELECT count(*) FROM audit WHERE person IS NOT NULL", [], |row| row.get(0)).unwrap();
    assert_eq!(gone, 0);
}

#[test]
fn any_changed_byte_of_an_entry_is_found() {
    let place = Place::new();
    let (mut store, _) = place.open();
    for _ in 0..5 {
        write(&mut store, NOW_S, vec![Write::Audit(entry(AuditEvent::JoinGranted))]);
    }
    let broken = |store: &mut Store, change: &str| {
        store.connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; SAVEPOINT probe; {change}")).unwrap();
        store.vault.forget();
        let verdict = store.verify().unwrap();
        store.connection.execute_batch("ROLLBACK TO probe; RELEASE probe").unwrap();
        match verdict {
            Verdict::Broken { number, .. } => number,
            Verdict::Intact { .. } => panic!("{change} is not found"),
        }
    };
    for column in ["tenant", "body", "body_digest", "person", "person_digest", "digest", "mac"] {
        for byte in [1, 17, 32] {
            let change = format!(
                "UPDATE audit SET {column} = CAST(substr({column}, 1, {byte} - 1) || CASE substr({column}, {byte}, 1) WHEN x'00' THEN x'01' ELSE x'00' END
                 || substr({column}, {byte} + 1) AS BLOB) WHERE number = 3"
            );
            assert_eq!(broken(&mut store, &change), 3, "{column} {byte}");
        }
    }
    for change in ["key = key + 1", "expires = expires + 1", "person = NULL", "body = 7"] {
        assert_eq!(broken(&mut store, &format!("UPDATE OR IGNORE audit SET {change} WHERE number = 3")), 3, "{change}");
    }
    let swap = "UPDATE audit SET number = 99 WHERE number = 3; UPDATE audit SET number = 3 WHERE number = 4; UPDATE audit SET number = 4 WHERE number = 99";
    assert_eq!(broken(&mut store, swap), 3);
    assert_eq!(broken(&mut store, "DELETE FROM audit WHERE number = 3"), 3);
    assert_eq!(broken(&mut store, "DELETE FROM audit WHERE number = 5"), 5);
    assert_eq!(
        broken(
            &mut store,
            "DELETE FROM audit WHERE number = 5; UPDATE head SET number = 4, digest = (SELECT digest FROM audit WHERE number = 4)"
        ),
        5
    );
    assert_eq!(
        broken(
            &mut store,
            "DELETE FROM audit WHERE number = 3; INSERT INTO checkpoints SELECT 3, 3, (SELECT digest FROM audit WHERE number = 2), x'00', x'00'"
        ),
        3
    );
    assert_eq!(intact(&mut store), 5);
}

#[test]
fn a_copied_folder_is_unreadable_and_keys_are_never_made_anew() {
    let place = Place::new();
    drop(place.open());
    let file = place.key().path().to_owned();
    let other = Place::new();
    drop(other.open());
    let moved = file.with_extension("away");
    fs::rename(&file, &moved).unwrap();
    let told = Store::open(&place.dir(), &place.key(), at(NOW_S)).unwrap_err();
    assert!(matches!(told, StoreError::NoKey { .. }) && told.lasts() && told.to_string().contains("konsil-master-key"), "{told}");
    assert!(!file.exists());
    fs::copy(other.key().path(), &file).unwrap();
    assert!(matches!(Store::open(&place.dir(), &place.key(), at(NOW_S)), Err(StoreError::WrongKey { .. })));
    fs::rename(&moved, &file).unwrap();
    place.open();
}

#[test]
fn later_formats_and_foreign_files_are_refused() {
    let place = Place::new();
    let (store, _) = place.open();
    store.connection.pragma_update(None, "user_version", schema::VERSION + 1).unwrap();
    drop(store);
    let told = Store::open(&place.dir(), &place.key(), at(NOW_S)).unwrap_err();
    assert!(matches!(told, StoreError::Newer { found: 2, known: 1, .. }) && told.lasts(), "{told}");
    let place = Place::new();
    fs::write(place.dir().join(NAME), "no database ".repeat(999)).unwrap();
    let told = Store::open(&place.dir(), &place.key(), at(NOW_S)).unwrap_err();
    assert!(matches!(told, StoreError::Broken { .. }) && told.lasts(), "{told}");
}

#[test]
fn rooms_of_an_earlier_version_are_taken_over_once() {
    let place = Place::new();
    let text = r#"{"version":1,"rooms":[{"tenant":"a","name":"r","sid":"RM_x","mode":"sfu","e2ee_required":true,"max_participants":2,"empty_timeout_s":300,"created_at_ms":7}]}"#;
    fs::write(place.dir().join("rooms.json"), text).unwrap();
    let (_, stored) = place.open();
    assert_eq!((stored.rooms.len(), stored.rooms[0].id.name.as_str()), (1, "r"));
    assert!(!place.dir().join("rooms.json").exists());
    assert_eq!(place.open().1, stored);
}

#[test]
fn a_full_file_refuses_what_is_new_and_keeps_what_must_be_proved() {
    let place = Place::new();
    let (mut store, _) = place.open();
    let pages: i64 = store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
    schema::set_bound(&store.connection, pages.cast_unsigned() * schema::PAGE).unwrap();
    let mut made = 0;
    while store.apply(&[vec![Write::PutRoom(room(&made.to_string()))]], at(NOW_S)) == [Written::Durably] {
        made += 1;
    }
    let one = || vec![Write::PutRoom(room("new"))];
    let proof = || vec![Write::Audit(entry(AuditEvent::JoinRefused))];
    assert_eq!(store.apply(&[one()], at(NOW_S)), [Written::Full]);
    for _ in 0..100 {
        let batches = [proof(), [one(), proof()].concat(), vec![Write::PutRevocation(revocation(NOW_S + 60))]];
        assert_eq!(store.apply(&batches, at(NOW_S)), [Written::Durably, Written::Full, Written::Durably]);
    }
    assert_eq!(intact(&mut store), 100);
    assert!(!store.ballast.is_held());
    store.purge(at(NOW_S)).unwrap();
    assert!(store.ballast.is_held(), "there is space again");
    assert_eq!(store.apply(&[one()], at(NOW_S)), [Written::Durably]);
    assert_eq!(store.stored().unwrap().rooms.len(), made + 1);
}

#[test]
fn the_thread_writes_what_waits_and_then_ends() {
    let place = Place::new();
    let (store, _) = place.open();
    let (mut handle, thread) = thread::start(store, || at(NOW_S)).unwrap();
    let tickets = || (0..300).map(crate::node::control::Ticket);
    for ticket in tickets() {
        assert!(handle.write(ticket, vec![Write::PutRoom(room(&ticket.0.to_string()))]));
    }
    handle.close();
    assert!(!handle.write(crate::node::control::Ticket(300), Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        for ticket in tickets() {
            assert_eq!(handle.written().await, Some((ticket, Written::Durably)));
        }
        assert_eq!(handle.written().await, None);
    });
    thread.join().unwrap();
    let (mut store, stored) = place.open();
    assert_eq!((stored.rooms.len(), intact(&mut store)), (300, 2), "started, stopped");
}

#[test]
fn the_master_key_is_rotated_and_no_crash_on_the_way_shuts_the_store() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, samples::all());
    let before = store.stored().unwrap();
    drop(store);
    let old = fs::read(place.key().path()).unwrap();
    rotate(&place.dir(), &place.key(), None, at(NOW_S)).unwrap();
    let new = fs::read(place.key().path()).unwrap();
    assert_ne!(old, new);
    let (mut store, stored) = place.open();
    assert_eq!((stored, intact(&mut store)), (before.clone(), 2));
    drop(store);
    let next = place.key().next();
    // Cut off before anything was sealed by the next key: it goes.
    next.make().unwrap();
    assert_eq!(place.open().1, before);
    assert!(!next.path().exists());
    // Cut off before the next key took its place: it takes it.
    fs::write(place.key().path(), &old).unwrap();
    fs::write(next.path(), &new).unwrap();
    fs::set_permissions(next.path(), fs::metadata(place.key().path()).unwrap().permissions()).unwrap();
    assert_eq!(place.open().1, before);
    assert_eq!(fs::read(place.key().path()).unwrap(), new);
    // For a credential the next key goes where the operator wants it.
    let given = place.0.0.join("given");
    rotate(&place.dir(), &place.key(), Some(&given), at(NOW_S)).unwrap();
    assert!(matches!(Store::open(&place.dir(), &place.key(), at(NOW_S)), Err(StoreError::WrongKey { .. })));
    let key = KeyPlace::find(&place.dir(), Some(&given), None).unwrap();
    assert_eq!(Store::open(&place.dir(), &key, at(NOW_S)).unwrap().1, before);
}

#[test]
fn a_process_beside_reads_writes_and_stops_after_a_rotation() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, samples::all());
    let mut beside = Beside::open(&place.dir(), &place.key()).unwrap();
    assert_eq!(beside.append(&entry(AuditEvent::AuditRead), at(NOW_S)).unwrap(), 2);
    write(&mut store, NOW_S, vec![Write::Audit(entry(AuditEvent::JoinRefused))]);
    assert_eq!(intact(&mut store), 3);
    let mut numbers = Vec::new();
    let wanted = Wanted { tenant: Some(tenant()), from: Some(NOW_S), to: Some(NOW_S + 1) };
    beside
        .entries(&wanted, |number, _| {
            numbers.push(number);
            Ok(())
        })
        .unwrap();
    assert_eq!(numbers, [1, 2, 3]);
    let nobody = Wanted { to: Some(NOW_S), ..Wanted::default() };
    beside.entries(&nobody, |_, _| panic!()).unwrap();
    let OfPerson { visits, entries } = beside.of_person(&tenant(), &subject("person")).unwrap();
    assert_eq!((visits.len(), entries.len()), (1, 3));
    let mut sids = Vec::new();
    beside
        .visits(&tenant(), |visit| {
            sids.push(visit.sid);
            Ok(())
        })
        .unwrap();
    assert_eq!(sids, ["PA_Kanarie"]);
    drop(store);
    rotate(&place.dir(), &place.key(), None, at(NOW_S)).unwrap();
    assert!(matches!(beside.append(&entry(AuditEvent::AuditRead), at(NOW_S)), Err(StoreError::Rotated)));
    assert!(matches!(beside.verify(), Err(StoreError::Rotated)));
}

#[test]
fn copies_bring_back_what_was_lost_and_nothing_that_went() {
    let place = Place::new();
    let (mut store, _) = place.open();
    write(&mut store, NOW_S, samples::all());
    write(
        &mut store,
        NOW_S,
        vec![Write::PutRoom(room("gone")), Write::PutKey(key("gone")), Write::PutVisit(visit("PA_alone", &["person"]))],
    );
    let file = place.0.0.join("copy");
    backup(&place.dir(), &place.key(), &file, at(NOW_S)).unwrap();
    assert!(backup(&place.dir(), &place.key(), &file, at(NOW_S)).is_err(), "copies are not overwritten");
    assert!(!contains(&fs::read(&file).unwrap(), samples::CANARY.as_bytes()));
    let id = crate::model::ids::KeyId::new(&samples::text("gone")).unwrap();
    write(&mut store, NOW_S, vec![Write::DeleteRoom(room_id("gone")), Write::DeleteKey(tenant(), id)]);
    write(&mut store, NOW_S, vec![Write::EraseSubject(tenant(), subject("person")), Write::DeleteRoom(room_id("r"))]);
    write(&mut store, NOW_S, vec![Write::PutRoom(room("late")), Write::Audit(entry(AuditEvent::JoinGranted))]);
    drop(store);
    restore(&place.dir(), &place.key(), None, &file, at(NOW_S + 120)).unwrap();
    let (mut store, stored) = place.open_at(NOW_S + 120);
    assert_eq!((stored.rooms.len(), stored.keys, stored.subjects.len()), (0, vec![key("k")], 0));
    let visits: i64 = store.connection.query_row("SELECT count(*) FROM records WHERE kind = 6", [], |row| row.get(0)).unwrap();
    assert_eq!(visits, 1);
    assert_eq!(intact(&mut store), 4, "join, backup, join, restore");
    drop(store);

    // The same where nothing is left but the copy and the key.
    fs::remove_file(place.dir().join(NAME)).unwrap();
    restore(&place.dir(), &place.key(), None, &file, at(NOW_S + 120)).unwrap();
    let (mut store, stored) = place.open_at(NOW_S + 120);
    assert_eq!((stored.rooms.len(), stored.keys.len()), (2, 2));
    assert_eq!(intact(&mut store), 4);
    drop(store);
    assert!(!place.dir().join("restore.tmp").exists());

    let late = restore(&place.dir(), &place.key(), None, &file, at(NOW_S + 91 * DAY)).unwrap_err();
    assert!(late.to_string().contains("older than 90 days"), "{late}");
    let old = place.0.0.join("old");
    fs::copy(place.key().path(), &old).unwrap();
    rotate(&place.dir(), &place.key(), None, at(NOW_S)).unwrap();
    assert!(matches!(restore(&place.dir(), &place.key(), None, &file, at(NOW_S)), Err(StoreError::WrongKey { .. })));
    let old = KeyPlace::find(&place.dir(), Some(&old), None).unwrap();
    restore(&place.dir(), &place.key(), Some(&old), &file, at(NOW_S + 120)).unwrap();
    assert_eq!(place.open().1.rooms.len(), 2);
    let other = Place::new();
    drop(other.open());
    let told = restore(&other.dir(), &other.key(), Some(&old), &file, at(NOW_S)).unwrap_err();
    assert!(told.to_string().contains("another store"), "{told}");
}
