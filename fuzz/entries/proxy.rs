//! What a load balancer says first: any bytes are a client's address or an error.

use konsil::io::edge::proxied_client;

pub fn run(input: &[u8]) {
    if let Ok(Some(client)) = proxied_client(input) {
        // An IPv4 address counts as one however it is written: limits are by source.
        assert_eq!(client.ip(), client.ip().to_canonical());
        assert!(input.len() >= 28);
    }
    for end in [15, 16, 27, 28] {
        let _ = proxied_client(&input[..input.len().min(end)]);
    }
}
