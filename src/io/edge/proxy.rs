//! The PROXY protocol, version 2: a load balancer in front says who the client is.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes before the addresses: signature, command, family, length (PROXY protocol 2.2).
const FIXED: usize = 16;
/// Most bytes behind them: addresses of either family, with room for what balancers add.
const REST_MAX: usize = 2_048;

/// Reads the header, which comes before everything else. `None` if the balancer speaks for itself, as its health checks
/// do.
///
/// # Errors
/// `InvalidData` if it is no header of version 2 for TCP, else what the connection says.
pub(super) async fn client(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).await?;
    let rest = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    // The signature first: whoever speaks something else must not make us wait for its length.
    if !bytes.starts_with(ppp::v2::PROTOCOL_PREFIX) || rest > REST_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    bytes.resize(FIXED + rest, 0);
    stream.read_exact(&mut bytes[FIXED..]).await?;
    parse(&bytes)
}

/// Reads a whole header. `None` if the balancer speaks for itself.
///
/// # Errors
/// `InvalidData` if it is no header of version 2 for TCP.
pub fn parse(bytes: &[u8]) -> io::Result<Option<SocketAddr>> {
    let header = Header::try_from(bytes).map_err(|_| io::ErrorKind::InvalidData)?;
    match (header.command, header.addresses) {
        (Command::Local, _) => Ok(None),
        (Command::Proxy, Addresses::IPv4(of)) => Ok(Some(SocketAddr::new(of.source_address.into(), of.source_port))),
        (Command::Proxy, Addresses::IPv6(of)) => Ok(Some(SocketAddr::new(of.source_address.to_canonical(), of.source_port))),
        (Command::Proxy, _) => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as load balancers write it.
    pub fn header(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([0x20 | command, family]);
        bytes.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
        bytes.extend(addresses);
        bytes
    }

    const V4: [u8; 12] = [203, 0, 113, 9, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];

    #[tokio::test]
    async fn clients_are_read_and_nothing_behind_them() {
        let mut stream = [header(1, 0x11, &V4), b"next".to_vec()].concat();
        let mut reader = stream.as_slice();
        assert_eq!(client(&mut reader).await.unwrap(), Some("203.0.113.9:40000".parse().unwrap()));
        assert_eq!(reader, b"next");
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::9".parse::<std::net::Ipv6Addr>().unwrap().octets());
        v6[32..34].copy_from_slice(&5_000_u16.to_be_bytes());
        stream = header(1, 0x21, &v6);
        assert_eq!(client(&mut stream.as_slice()).await.unwrap(), Some("[2001:db8::9]:5000".parse().unwrap()));
        // Health checks, and options behind the addresses.
        assert_eq!(client(&mut header(0, 0, &[]).as_slice()).await.unwrap(), None);
        let with_options = [&V4[..], &[0x04, 0, 2, 7, 7]].concat();
        assert!(client(&mut header(1, 0x11, &with_options).as_slice()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        let good = header(1, 0x11, &V4);
        for end in 0..good.len() {
            assert!(client(&mut &good[..end]).await.is_err());
        }
        let mut long = header(1, 0x11, &V4);
        long[14] = 0xff;
        for wrong in [b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 443\r\n".to_vec(), header(1, 0x31, &[0; 216]), header(2, 0x11, &V4), long] {
            assert_eq!(client(&mut wrong.as_slice()).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
