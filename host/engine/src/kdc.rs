//! The `kdc` interface: one request to the key distribution centres of a realm, one answer.
//!
//! Over TCP only (RFC 4120 §7.2.2), where no answer is too long. Like other Kerberos clients it
//! asks the next server when one has failed or takes long, and the first answer counts: so a
//! server that is down costs little of the time that a call has.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use usher_grant::{Named, reachable};

use crate::failure::{Failure, FailureKind};
use crate::krb5_conf::Server;

/// Bytes of an answer.
const LARGEST_ANSWER: usize = 64 << 10;
/// Bytes of a request.
const LARGEST_REQUEST: usize = 64 << 10;
/// Time for one address to accept the connection.
const LONGEST_CONNECT: Duration = Duration::from_secs(2);
/// Time for one server, name look-up and all its addresses included.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(5);
/// Time for all of them.
const LONGEST_EXCHANGE: Duration = Duration::from_secs(8);
/// After this a server counts as slow, and the next one is asked as well.
const HEAD_START: Duration = Duration::from_secs(1);

/// DER tags of the messages (RFC 4120 §5.10), each APPLICATION, constructed.
const AS_REQ: u8 = 0x6a;
const TGS_REQ: u8 = 0x6c;
const AS_REP: u8 = 0x6b;
const TGS_REP: u8 = 0x6d;
const KRB_ERROR: u8 = 0x7e;

/// That `request` is one AS-REQ or TGS-REQ and nothing else, by its outer tag and length.
pub(crate) fn check_request(request: &[u8]) -> Result<(), Failure> {
    let refused = |what: &str| {
        Err(Failure::new(
            FailureKind::Config,
            "kdc.request",
            format!("{what}; only an AS-REQ or a TGS-REQ is sent to a key distribution centre"),
        ))
    };
    if request.len() > LARGEST_REQUEST {
        return refused("the request is larger than 64 KiB");
    }
    if !is_message(request, &[AS_REQ, TGS_REQ]) {
        return refused("the request is another message");
    }
    Ok(())
}

/// The first answer of any of the realm's servers: an AS-REP, TGS-REP or KRB-ERROR, by its tag.
pub(crate) async fn exchange(
    realm: &str,
    servers: Vec<Server>,
    request: Vec<u8>,
) -> Result<Vec<u8>, Failure> {
    let request: Arc<[u8]> = request.into();
    let mut unasked = servers.into_iter();
    let mut asked: Vec<(Server, Option<Trouble>)> = Vec::new();
    // Dropped at the end, with all that still runs.
    let mut running = JoinSet::new();
    let whole = sleep(LONGEST_EXCHANGE);
    tokio::pin!(whole);
    loop {
        if let Some(server) = unasked.next() {
            let (index, request) = (asked.len(), Arc::clone(&request));
            asked.push((server.clone(), None));
            running.spawn(async move { (index, ask(&server, &request).await) });
        } else if running.is_empty() {
            break;
        }
        let has_next = unasked.len() > 0;
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(Ok((_, Ok(answer)))) => return Ok(answer),
                Some(Ok((index, Err(trouble)))) => asked[index].1 = Some(trouble),
                Some(Err(_)) | None => {}
            },
            () = sleep(HEAD_START), if has_next => {}
            () = &mut whole => break,
        }
    }
    let troubles: Vec<String> = asked
        .into_iter()
        .map(|(server, trouble)| format!("{server} {}", trouble.unwrap_or(Trouble::Silent)))
        .collect();
    let message = format!(
        "no key distribution centre of {realm} answered: {}; check the servers and the `kdc` lines of the realm",
        troubles.join("; ")
    );
    Err(Failure::new(FailureKind::Unavailable, "kdc.unreachable", message).detail("realm", realm))
}

/// Why one server gave no answer.
#[derive(Debug)]
enum Trouble {
    Unresolved(io::Error),
    /// Its name leads nowhere else.
    Prohibited,
    Unconnected(io::Error),
    BrokenOff,
    Silent,
    TooLarge,
    NotKerberos,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unresolved(error) => write!(formatter, "can't be resolved ({error})"),
            Self::Prohibited => formatter.write_str(
                "leads to a link-local or metadata address, which is never connected to",
            ),
            Self::Unconnected(error) => write!(formatter, "can't be reached ({error})"),
            Self::BrokenOff => formatter.write_str("broke off before its answer was complete"),
            Self::Silent => formatter.write_str("didn't answer in time"),
            Self::TooLarge => formatter.write_str("answered with more than 64 KiB"),
            Self::NotKerberos => formatter.write_str("answered something that is not Kerberos"),
        }
    }
}

async fn ask(server: &Server, request: &[u8]) -> Result<Vec<u8>, Trouble> {
    timeout(LONGEST_ATTEMPT, async {
        let mut stream = connect(server).await?;
        converse(&mut stream, request).await
    })
    .await
    .unwrap_or(Err(Trouble::Silent))
}

/// A connection to the first address that accepts one.
async fn connect(server: &Server) -> Result<TcpStream, Trouble> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((server.host.as_str(), server.port))
        .await
        .map_err(Trouble::Unresolved)?
        // The operator's file names the server, so it may be on this machine.
        .filter(|address| reachable(address.ip(), &Named::Localhost))
        .collect();
    let mut trouble = Trouble::Prohibited;
    for address in addresses {
        match timeout(LONGEST_CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => trouble = Trouble::Unconnected(error),
            Err(_) => trouble = Trouble::Unconnected(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(trouble)
}

/// Each message has its length before it, in four bytes, the highest first.
async fn converse(stream: &mut TcpStream, request: &[u8]) -> Result<Vec<u8>, Trouble> {
    let broken_off = |_: io::Error| Trouble::BrokenOff;
    let length = u32::try_from(request.len()).map_err(|_| Trouble::TooLarge)?;
    let framed = [&length.to_be_bytes(), request].concat();
    stream.write_all(&framed).await.map_err(broken_off)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(broken_off)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LARGEST_ANSWER {
        return Err(Trouble::TooLarge);
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await.map_err(broken_off)?;
    if !is_message(&answer, &[AS_REP, TGS_REP, KRB_ERROR]) {
        return Err(Trouble::NotKerberos);
    }
    Ok(answer)
}

/// Whether this is exactly one DER value with one of these tags.
fn is_message(bytes: &[u8], tags: &[u8]) -> bool {
    let [tag, first, rest @ ..] = bytes else { return false };
    let (length, content) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 || rest.len() < count {
            return false;
        }
        let (length, content) = rest.split_at(count);
        (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), content)
    };
    tags.contains(tag) && length == content.len()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    const REQUEST: [u8; 4] = [AS_REQ, 2, 0x30, 0];
    const ANSWER: [u8; 4] = [KRB_ERROR, 2, 0x30, 0];

    /// A server that reads one request and writes these bytes.
    async fn server(written: Vec<u8>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 8];
                stream.read_exact(&mut request).await.unwrap();
                assert_eq!(request[..4], [0, 0, 0, 4]);
                assert_eq!(request[4..], REQUEST);
                stream.write_all(&written).await.unwrap();
            }
        });
        Server { host: "127.0.0.1".into(), port }
    }

    fn framed(answer: &[u8]) -> Vec<u8> {
        let length = u32::try_from(answer.len()).unwrap().to_be_bytes();
        [&length, answer].concat()
    }

    /// A port where nobody listens, as long as the socket is kept.
    fn down() -> (TcpSocket, Server) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        (socket, Server { host: "127.0.0.1".into(), port })
    }

    async fn exchange_with(servers: Vec<Server>) -> Result<Vec<u8>, Failure> {
        exchange("EXAMPLE.ORG", servers, REQUEST.to_vec()).await
    }

    #[tokio::test]
    async fn the_answer_comes_without_its_length() {
        let good = server(framed(&ANSWER)).await;
        assert_eq!(exchange_with(vec![good]).await.unwrap(), ANSWER);
    }

    #[tokio::test]
    async fn a_server_that_gives_no_answer_is_passed_over() {
        let (_socket, down) = down();
        for bad in [
            down,
            // Broken off in the length, and in the answer.
            server(vec![0, 0]).await,
            server(framed(&ANSWER)[..6].to_vec()).await,
            server(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await,
            server(framed(b"something else")).await,
            server(framed(&[AS_REP, 3, 0x30, 0])).await,
            Server { host: "169.254.169.254".into(), port: 88 },
        ] {
            let good = server(framed(&ANSWER)).await;
            assert_eq!(exchange_with(vec![bad, good]).await.unwrap(), ANSWER);
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let silent = Server { host: "127.0.0.1".into(), port };
        let good = server(framed(&ANSWER)).await;
        let started = Instant::now();
        assert_eq!(exchange_with(vec![silent.clone(), good]).await.unwrap(), ANSWER);
        assert!(started.elapsed() >= HEAD_START);
        let failure = exchange_with(vec![silent]).await.unwrap_err();
        assert!(failure.message.contains(&format!("127.0.0.1:{port} didn't answer")), "{failure}");
        drop(listener);
    }

    #[tokio::test]
    async fn when_nobody_answers_each_server_is_named_with_the_reason() {
        let (_socket, first) = down();
        let second = server(framed(b"something else")).await;
        let third = server((1u32 << 20).to_be_bytes().to_vec()).await;
        let metadata = Server { host: "169.254.169.254".into(), port: 88 };
        let named = [&first, &second, &third].map(ToString::to_string);
        let failure = exchange_with(vec![first, second, third, metadata]).await.unwrap_err();
        assert_eq!(
            (failure.kind, failure.code.as_str()),
            (FailureKind::Unavailable, "kdc.unreachable")
        );
        for part in [
            "EXAMPLE.ORG".to_owned(),
            format!("{} can't be reached", named[0]),
            format!("{} answered something that is not Kerberos", named[1]),
            format!("{} answered with more than 64 KiB", named[2]),
            "169.254.169.254:88 leads to a link-local or metadata address".to_owned(),
        ] {
            assert!(failure.message.contains(&part), "{part}: {failure}");
        }
    }

    #[test]
    fn only_the_two_requests_are_sent() {
        for good in [&[AS_REQ, 0][..], &[TGS_REQ, 0x81, 1, 0], &REQUEST] {
            assert!(check_request(good).is_ok(), "{good:?}");
        }
        let mut long = vec![AS_REQ, 0x83, 1, 0, 0];
        long.resize(5 + (1 << 16), 0);
        for bad in [
            &[][..],
            &[AS_REQ],
            &[AS_REQ, 1],
            &[AS_REQ, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[AS_REQ, 0x80, 0],
            &[AS_REP, 0],
            b"GET / HTTP/1.1\r\n\r\n",
            // More follows the message.
            &[AS_REQ, 0, 0],
            &long,
        ] {
            assert_eq!(check_request(bad).unwrap_err().code, "kdc.request");
        }
    }
}
