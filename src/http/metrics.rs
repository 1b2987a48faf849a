//! What operators watch: `/metrics` in Prometheus' text format, `/livez`, `/readyz`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::core::Collector as _;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram as Wire, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{TEXT_FORMAT, TextEncoder};

use crate::io::control::ControlHandle;
use crate::model::histogram::Histogram;
use crate::model::media::MediaKind;
use crate::model::stats::{ByDirection, ByKind, ControlStats, Direction, WorkerStats};

/// The workers' numbers while they are being asked for.
pub type Counting = Pin<Box<dyn Future<Output = WorkerStats> + Send>>;

/// Where the numbers come from.
#[derive(Clone)]
pub struct Sources {
    /// Rooms, participants, joins.
    pub control: ControlHandle,
    /// The sum over all media workers, made when asked.
    pub workers: Arc<dyn Fn() -> Counting + Send + Sync>,
    /// Open signalling connections.
    pub signal_connections: Arc<AtomicU64>,
    /// Whether new calls are taken.
    pub ready: Arc<AtomicBool>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

/// The routes of the metrics listener.
pub fn metrics_router(sources: Sources) -> Router {
    Router::new().route("/metrics", get(metrics)).route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready)).with_state(sources)
}

async fn ready(State(sources): State<Sources>) -> Response {
    if sources.ready.load(Ordering::Relaxed) {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response()
    }
}

async fn metrics(State(sources): State<Sources>) -> Response {
    let connections = sources.signal_connections.load(Ordering::Relaxed);
    let mut families = families(&sources.control.stats(), &(sources.workers)().await, connections);
    families.extend(ProcessCollector::for_self().collect());
    // The encoder fails over families without a value, such as the drops of a server that dropped nothing.
    families.retain(|family| !family.get_metric().is_empty());
    match TextEncoder::new().encode_to_string(&families) {
        Ok(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// All families in the order of their subjects.
fn families(control: &ControlStats, workers: &WorkerStats, connections: u64) -> Vec<MetricFamily> {
    let joins = control.joins.iter().map(|(result, count)| (vec![("result", *result)], *count));
    let tries = control.invitation_tries.iter().map(|(result, count)| (vec![("result", *result)], *count));
    let drops = workers.dropped_datagrams.iter().map(|(reason, count)| (vec![("reason", *reason)], *count));
    let faults = control.room_faults + workers.room_faults;
    vec![
        gauge("konsil_rooms", "Rooms now", control.rooms),
        gauge("konsil_participants", "Participants now", control.participants),
        gauge("konsil_tracks", "Published tracks now", control.tracks),
        gauge("konsil_signal_connections", "Open signalling connections", connections),
        counter("konsil_joins_total", "Attempts to join", joins.collect()),
        counter("konsil_invitation_tries_total", "Uses of invitations for one device", tries.collect()),
        histogram("konsil_join_seconds", "Time from joining until media stood", &control.join_seconds),
        counter("konsil_rtp_packets_total", "RTP packets", by_kind(&workers.rtp_packets)),
        counter("konsil_rtp_bytes_total", "Bytes of RTP payload", by_kind(&workers.rtp_bytes)),
        counter("konsil_nacks_total", "Packets reported missing", by_direction(&workers.nacks)),
        counter("konsil_keyframe_requests_total", "Requests for keyframes", by_direction(&workers.keyframe_requests)),
        histogram("konsil_forward_delay_seconds", "Time of a packet in the server", &workers.forward_delay),
        counter("konsil_dropped_datagrams_total", "Datagrams not taken", drops.collect()),
        gauge("konsil_turn_allocations", "Relayed addresses now", workers.turn_allocations),
        counter("konsil_turn_bytes_total", "Bytes of relayed payload", by_direction(&workers.turn_bytes)),
        histogram("konsil_send_batch_packets", "Packets sent by one system call", &workers.send_batch_packets),
        counter("konsil_room_faults_total", "Rooms ended by a fault of the server; must stay 0", vec![(vec![], faults)]),
    ]
}

type Labels = Vec<(&'static str, &'static str)>;

fn by_direction(counts: &ByDirection) -> Vec<(Labels, u64)> {
    Direction::ALL.into_iter().map(|way| (vec![("direction", way.label())], counts.get(way))).collect()
}

fn by_kind(counts: &ByKind) -> Vec<(Labels, u64)> {
    let kinds = [(MediaKind::Audio, "audio"), (MediaKind::Video, "video")];
    let pairs = Direction::ALL.into_iter().flat_map(|way| kinds.map(|kind| (way, kind)));
    pairs.map(|(way, (kind, name))| (vec![("direction", way.label()), ("kind", name)], counts.get(way, kind))).collect()
}

// Counts above 2^53 lose their last digits, which no dashboard shows.
#[expect(clippy::cast_precision_loss)]
fn float(count: u64) -> f64 {
    count as f64
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn gauge(name: &str, help: &str, value: u64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(float(value));
    family(name, help, MetricType::GAUGE, vec![Metric::from_gauge(gauge)])
}

fn counter(name: &str, help: &str, counts: Vec<(Labels, u64)>) -> MetricFamily {
    let metric = |(labels, count): (Labels, u64)| {
        let mut counter = Counter::default();
        counter.set_value(float(count));
        let mut metric = Metric::from_label(labels.into_iter().map(label).collect());
        metric.set_counter(counter);
        metric
    };
    family(name, help, MetricType::COUNTER, counts.into_iter().map(metric).collect())
}

fn label((name, value): (&str, &str)) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

fn histogram<const N: usize>(name: &str, help: &str, values: &Histogram<N>) -> MetricFamily {
    let bucket = |(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut wire = Wire::default();
    wire.set_bucket(values.cumulative().map(bucket).collect());
    wire.set_sample_count(values.count());
    wire.set_sample_sum(values.sum());
    let mut metric = Metric::default();
    metric.set_histogram(wire);
    family(name, help, MetricType::HISTOGRAM, vec![metric])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::send;

    fn workers() -> WorkerStats {
        let mut stats = WorkerStats::default();
        stats.rtp_packets.add(Direction::In, MediaKind::Video, 3);
        stats.nacks.add(Direction::Out, 2);
        stats.dropped_datagrams.insert("stranger", 4);
        stats.forward_delay.observe(0.0002);
        stats
    }

    #[tokio::test]
    async fn every_promised_name_is_there() {
        let (control, _calls, publish) = ControlHandle::channel();
        publish.send_modify(|stats| {
            stats.rooms = 5;
            stats.joins.insert("ok", 6);
            stats.invitation_tries.insert("unknown", 7);
            stats.join_seconds.observe(0.2);
        });
        let ready = Arc::new(AtomicBool::new(false));
        let sources = Sources {
            control,
            workers: Arc::new(|| Box::pin(async { workers() })),
            signal_connections: Arc::new(AtomicU64::new(9)),
            ready: ready.clone(),
        };
        let router = metrics_router(sources);
        let answer = send(&router, "GET /metrics", &[], "").await;
        assert!(answer.header("content-type").starts_with("text/plain"));
        for line in [
            "konsil_rooms 5",
            "konsil_participants 0",
            "konsil_tracks 0",
            "konsil_signal_connections 9",
            r#"konsil_joins_total{result="ok"} 6"#,
            r#"konsil_invitation_tries_total{result="unknown"} 7"#,
            r#"konsil_join_seconds_bucket{le="0.25"} 1"#,
            r#"konsil_join_seconds_bucket{le="+Inf"} 1"#,
            r#"konsil_rtp_packets_total{direction="in",kind="video"} 3"#,
            r#"konsil_rtp_packets_total{direction="out",kind="audio"} 0"#,
            r#"konsil_rtp_bytes_total{direction="in",kind="audio"} 0"#,
            r#"konsil_nacks_total{direction="out"} 2"#,
            r#"konsil_keyframe_requests_total{direction="in"} 0"#,
            r#"konsil_forward_delay_seconds_bucket{le="0.0001"} 0"#,
            r#"konsil_forward_delay_seconds_bucket{le="0.00025"} 1"#,
            r#"konsil_dropped_datagrams_total{reason="stranger"} 4"#,
            "konsil_send_batch_packets_count 0",
            "konsil_room_faults_total 0",
        ] {
            assert!(answer.text().lines().any(|found| found == line), "{line} is not in\n{}", answer.text());
        }
        assert!(answer.text().contains("process_resident_memory_bytes"));
    }

    #[tokio::test]
    async fn an_idle_server_has_metrics() {
        let (control, _calls, _publish) = ControlHandle::channel();
        let sources = Sources {
            control,
            workers: Arc::new(|| Box::pin(async { WorkerStats::default() })),
            signal_connections: Arc::default(),
            ready: Arc::default(),
        };
        let answer = send(&metrics_router(sources), "GET /metrics", &[], "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("konsil_rooms 0"));
    }

    #[tokio::test]
    async fn readiness_follows_the_flag() {
        let ready = Arc::new(AtomicBool::new(false));
        let (control, ..) = ControlHandle::channel();
        let sources = Sources {
            control,
            workers: Arc::new(|| Box::pin(async { workers() })),
            signal_connections: Arc::default(),
            ready: Arc::clone(&ready),
        };
        let router = metrics_router(sources);
        assert_eq!(send(&router, "GET /livez", &[], "").await.status, 200);
        assert_eq!(send(&router, "GET /readyz", &[], "").await.status, 503);
        ready.store(true, Ordering::Relaxed);
        assert_eq!(send(&router, "GET /readyz", &[], "").await.status, 200);
    }
}
